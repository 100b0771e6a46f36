-- User ids of identity providers, keys of requests by caller and operation, and brokerages that
-- tokens do not name.

-- A key belongs to one caller and one operation. Keys from before this migration do not say whose
-- they are, so they are forgotten: a retry that crosses the upgrade counts as a new request.
drop table porchlight.idempotency_keys;
create table porchlight.idempotency_keys (
    broker_id      text not null,
    -- What kind of caller: a person and a service may have the same user id.
    principal      text not null,
    user_id        text not null,
    -- The method and path of the request.
    operation      text not null,
    key            text not null,
    body_hash      bytea not null,
    epoch          text not null default '',
    -- The answer: `event_count` positions from `first_position` on, or the id of a notification.
    first_position bigint not null default 0,
    event_count    bigint not null default 0,
    created_at     timestamptz not null,
    primary key (broker_id, principal, user_id, operation, key),
    constraint principal_is_known check (principal in ('person', 'service', 'worker'))
);
create index idempotency_keys_by_age on porchlight.idempotency_keys (created_at);

-- What kind of caller asked for a task. `task_moves_legally` refuses changes of tasks that are over.
alter table porchlight.tasks add column asked_as text not null default 'person'
    constraint task_asked_as_known check (asked_as in ('person', 'service', 'worker'));
alter table porchlight.tasks disable trigger task_moves_legally;
update porchlight.tasks set asked_as = 'service'
where idempotency_key is not null and on_behalf ->> 'role' = 'service';
alter table porchlight.tasks enable trigger task_moves_legally;
drop index porchlight.task_key_used_once;
create unique index task_key_used_once
    on porchlight.tasks (broker_id, user_id, asked_as, idempotency_key)
    where idempotency_key is not null;

-- Owners of records are users: 1 to 128 printable ASCII characters, without a space at either end.
-- The old rule was narrower, so the rows that are there need no check.
do $$
declare
    t porchlight.record_tables;
begin
    for t in select * from porchlight.record_tables loop
        execute format('alter table %1$s drop constraint %2$I,
                add constraint %2$I check (owner_id ~ ''^[!-~]([ -~]{0,126}[!-~])?$'') not valid',
            t.records, t.module || '_owner_id_form');
    end loop;
end
$$;

-- Forgets which brokerage a user or a team belongs to, at every instance. Call it in the transaction
-- that changes the answer of PORCHLIGHT_BROKER_QUERY; it takes effect when that commits. With a user
-- and a team: what was looked up for both together. Without either: everything.
create function porchlight.forget_broker(user_id text default null, team_id text default null)
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    -- Longer ids are nobody's, and a notification takes less than 8,000 bytes.
    select pg_notify('porchlight_brokers',
        json_build_object('user', forget_broker.user_id, 'team', forget_broker.team_id)::text)
    where coalesce(octet_length(forget_broker.user_id), 0) <= 128
        and coalesce(octet_length(forget_broker.team_id), 0) <= 64
$$;
