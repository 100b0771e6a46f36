-- The event log. Every event that is not ephemeral is a row of `events` before it is sent.
-- Every key begins with the brokerage, so that the tables can be distributed by it.

-- One row per brokerage. It is also the lock that orders the log: a transaction that appends raises
-- `head` and keeps the row locked until it ends. Positions are therefore contiguous and in commit
-- order, which a sequence cannot guarantee.
create table porchlight.brokers (
    broker_id  text primary key,
    -- Identifies this log: a cursor with another epoch belongs to another log.
    epoch      text not null,
    -- The newest position; 0 before the first event.
    head       bigint not null default 0,
    -- Retention has removed the positions up to here.
    horizon    bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint horizon_within_log check (0 <= horizon and horizon <= head)
) with (fillfactor = 50); -- `head` changes with every transaction: leave room for updates in place.

create table porchlight.events (
    broker_id  text not null,
    position   bigint not null,
    -- Who may see it: `broker`, `team:<id>`, `user:<id>`, or `workers` (workers that wait for tasks).
    audience   text not null,
    type       text not null,
    module     text,
    record_id  text,
    -- Who caused it.
    user_id    text,
    -- The record's version after the change.
    version    bigint,
    -- `json`, not `jsonb`: clients get the text as it was published. Private fields are "[REDACTED]"
    -- in `data` and `changes`.
    data       json,
    changes    json,
    created_at timestamptz not null,
    -- The values of the private fields. Only users who may see them get them.
    private    json,
    owner_id   text,
    -- The event was too large: it was published without its data.
    truncated  boolean not null default false,
    -- The old values of changed fields, without private ones. They are not sent with the event. They
    -- are for sentences like "from $400,000 to $395,000".
    previous   json,
    -- The record got another owner with this event, and so did its earlier events.
    new_owner  boolean not null default false,
    primary key (broker_id, position),
    constraint audience_names_its_kind
        check (audience in ('broker', 'workers') or audience ~ '^(team|user):.'),
    constraint record_belongs_to_a_module check (record_id is null or module is not null)
);
comment on column porchlight.events.owner_id is
    'Who owns the record: as of the event, or as of now where the event has private fields.';

-- Replay of a few audiences from a busy log.
create index events_by_audience on porchlight.events (broker_id, audience, position);
-- The history of one record.
create index events_by_record on porchlight.events (broker_id, module, record_id, position)
    where record_id is not null;

-- The database cluster that wrote this log. When a copy (a restored backup) is started elsewhere,
-- these values differ and the epochs are renewed, so that nobody mistakes it for the original.
create table porchlight.origin (
    only_row          boolean primary key default true check (only_row),
    system_identifier text not null,
    timeline          bigint not null,
    database_oid      bigint not null
);
