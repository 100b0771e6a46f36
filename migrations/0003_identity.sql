-- What is stored by caller: answers to idempotent requests, and names.

-- The answer to a request with an idempotency key, so that a retry gets the same answer. A key
-- belongs to one caller and one operation.
create table porchlight.idempotency_keys (
    broker_id      text not null,
    -- The kind of caller: a person and a service may have the same user id.
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

-- The names of users, as their tokens state them.
create table porchlight.people (
    broker_id text not null,
    user_id   text not null,
    name      text not null,
    primary key (broker_id, user_id)
);
