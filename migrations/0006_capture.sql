-- Change capture. Triggers on watched tables write changes to an outbox, in the transaction of the
-- writer. The relay moves committed rows of the outbox to the event log.

-- The watched tables.
create table porchlight.watches (
    -- A `regclass` stays valid when the table is renamed.
    watched    regclass primary key,
    module     text not null,
    -- The name of one record, with which its event types begin.
    singular   text not null,
    -- The brokerage of all records, if no column has it.
    broker     text,
    -- Ids are unique only within a brokerage.
    is_id_per_broker boolean not null,
    camel_case boolean not null,
    -- The columns from which `watch` made the statements, and these statements, by operation.
    made_of    text,
    statements jsonb,
    created_at timestamptz not null default now(),
    constraint module_is_a_name check (module ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    constraint singular_begins_types check (singular ~ '^[A-Za-z0-9_.-]{1,32}$'),
    constraint broker_is_a_name check (broker ~ '^[A-Za-z0-9_.:-]{1,64}$')
);

-- The meaning of their columns. A renamed column is found by its number, a column that was restored
-- from a dump by its name. Private and hidden columns are found by either.
create table porchlight.watched_columns (
    watched regclass not null references porchlight.watches on delete cascade,
    role    text not null,
    name    name not null,
    attnum  smallint not null,
    primary key (watched, role, name),
    constraint role_is_known check (role in
        ('id', 'broker', 'team', 'owner', 'version', 'archived', 'actor', 'private', 'hidden'))
);
create unique index one_column_per_role on porchlight.watched_columns (watched, role)
    where role not in ('private', 'hidden');

-- Changes that are not in the log yet. The table has no constraints: a bad row must not fail the
-- transaction that wrote it. The relay checks rows later.
create table porchlight.outbox (
    -- Within one transaction and for one record, ids are in the order of the changes. Ids of different
    -- transactions are not in commit order, so the relay takes all rows it sees and keeps no cursor.
    id            bigint generated always as identity,
    broker_id     text,
    audience      text,
    type          text,
    module        text,
    record_id     text,
    user_id       text,
    version       bigint,
    data          text,
    changes       text,
    private       text,
    owner_id      text,
    is_truncated  boolean not null default false,
    -- The reason if a change could not be described.
    failure       text,
    created_at    timestamptz not null default now(),
    previous      text,
    is_new_owner  boolean not null default false,
    -- The order of rows that came from one bulk change.
    line          int not null default 0,
    -- Only of a bulk change: the operation, and the staging table that has the changed rows.
    operation     text,
    staging_table regclass,
    primary key (id, line)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000,
    -- To truncate, vacuum takes a lock that writers wait for; the space is needed again at once.
    vacuum_truncate = off);
create index bulk_changes on porchlight.outbox (id) where operation is not null;

-- Rows of the outbox that cannot become events, with the reason. Only people read them. Ids are not
-- unique: the outbox may count from the beginning again, for example after a restore.
create table porchlight.poison (
    id           bigint not null,
    outbox_row   json not null,
    reason       text not null,
    set_aside_at timestamptz not null default now()
);
create index poison_newest on porchlight.poison (id);

-- The staging tables of bulk changes. A watched table has one at most. When the table is watched
-- anew, it gets a new staging table. The old one is dropped when no row of the outbox refers to it.
create table porchlight.bulk_staging (
    staging_table regclass primary key,
    watched       regclass references porchlight.watches on delete set null,
    columns       text not null,
    -- The statements at the time when the staging table was made: waiting rows are described by them.
    queries       jsonb not null
);
create unique index one_staging_table on porchlight.bulk_staging (watched);
create sequence porchlight.bulk_staging_numbers;

-- SQL expressions from which the statements are made: `n` is the row after the change, `o` the row
-- before it.
create type porchlight.capture_parts as (
    -- A role whose column no longer exists, so that the audience of the records is unknown.
    gone         text,
    id           text,
    old_id       text,
    is_same      text,
    broker       text,
    old_broker   text,
    audience     text,
    old_audience text,
    is_moved     text,
    is_archived  text,
    was_archived text,
    owner        text,
    version      text,
    actor        text,
    -- JSON objects: the record, its private fields, the changed fields, the private ones of these.
    record       text,
    secrets      text,
    changes      text,
    new_secrets  text,
    old_owner    text,
    is_new_owner text,
    -- A JSON object: the old values of changed fields that are not private.
    previous     text
);
