-- The SQL functions are in `sql/functions`, one in each file, with a revision in the first line.
-- After the migrations, each file with a revision greater than the stored one is applied.

create table porchlight.functions (
    name       text primary key,
    revision   integer not null,
    applied_at timestamptz not null default now()
);
