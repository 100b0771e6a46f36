-- Imports: files that users upload, and how far the worker has imported the records in them.

create table porchlight.uploads (
    broker_id  text not null,
    id         text not null,
    -- Only this user can use it.
    user_id    text not null,
    content    bytea not null,
    created_at timestamptz not null default statement_timestamp(),
    primary key (broker_id, id)
);
create index uploads_by_user on porchlight.uploads (broker_id, user_id);
create index uploads_by_age on porchlight.uploads (created_at);

-- How far an import is. The row changes in the transaction that creates the records: a worker that
-- continues after another one has stopped creates no record twice and leaves none out.
create table porchlight.imports (
    broker_id text not null,
    task_id   text not null,
    -- The number of rows that have been processed, with or without success.
    next_row  integer not null default 0,
    created   integer not null default 0,
    bad       integer not null default 0,
    primary key (broker_id, task_id),
    constraint import_goes_with_its_task
        foreign key (broker_id, task_id) references porchlight.tasks on delete cascade,
    constraint import_counts_its_rows check (
        created >= 0 and bad >= 0 and created + bad = next_row)
);

-- Why rows were not imported. Values are never stored.
create table porchlight.import_faults (
    broker_id text not null,
    task_id   text not null,
    n         integer generated always as identity,
    line      integer not null,
    -- The name in the file; null if the row as a whole is bad.
    "column"  text,
    field     text,
    reason    text not null,
    primary key (broker_id, task_id, n),
    constraint import_faults_go_with_their_import
        foreign key (broker_id, task_id) references porchlight.imports on delete cascade
);
