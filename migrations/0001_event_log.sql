-- The event log. Everything Porchlight tells anyone is a row of `events` first.
-- Every key begins with the broker, so that the tables can be distributed by it.

-- One row per tenant, and the lock that orders its log: whoever appends raises
-- `head` and keeps the row locked to the end of the transaction. Positions are
-- therefore contiguous and in commit order, which a sequence cannot promise.
create table porchlight.brokers (
    broker_id  text primary key,
    -- Tells this log from any other: a cursor of another epoch means nothing here.
    epoch      text not null,
    -- The newest position; 0 before the first event.
    head       bigint not null default 0,
    -- Positions up to here have been removed by retention.
    horizon    bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint horizon_within_log check (0 <= horizon and horizon <= head)
) with (fillfactor = 50); -- `head` moves all the time: leave room to update in place.

create table porchlight.events (
    broker_id  text not null,
    position   bigint not null,
    -- Who may see it: `broker`, `team:<id>` or `user:<id>`.
    audience   text not null,
    type       text not null,
    module     text,
    record_id  text,
    -- Who did it.
    user_id    text,
    -- The record's version after it.
    version    bigint,
    -- `json`, not `jsonb`: what was published is told to the letter.
    data       json,
    changes    json,
    created_at timestamptz not null,
    primary key (broker_id, position),
    constraint audience_names_its_kind check (audience = 'broker' or audience ~ '^(team|user):.'),
    constraint record_belongs_to_a_module check (record_id is null or module is not null)
);

-- Replay of a few audiences out of a busy log.
create index events_by_audience on porchlight.events (broker_id, audience, position);
-- The history of one record.
create index events_by_record on porchlight.events (broker_id, module, record_id, position)
    where record_id is not null;

-- What was answered to a publisher's key, so that a retry gets the same answer.
create table porchlight.idempotency_keys (
    broker_id      text not null,
    key            text not null,
    body_hash      bytea not null,
    epoch          text not null default '',
    -- The answer: `event_count` positions from `first_position` on.
    first_position bigint not null default 0,
    event_count    bigint not null default 0,
    created_at     timestamptz not null,
    primary key (broker_id, key)
);
create index idempotency_keys_by_age on porchlight.idempotency_keys (created_at);

-- Which database cluster wrote this log. A copy that comes to life elsewhere (a
-- restored backup) must not pass for the original: its epochs are renewed.
create table porchlight.origin (
    only_row          boolean primary key default true check (only_row),
    system_identifier text not null,
    timeline          bigint not null,
    database_oid      bigint not null
);
