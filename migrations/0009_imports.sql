-- Imports: files that users send, and how far the worker has come with the records in them.

-- As whom the worker acts: the teams and the role that the user had when asking. Never shown.
alter table porchlight.tasks add column on_behalf json;

create table porchlight.uploads (
    broker_id  text not null,
    id         text not null,
    -- Nobody else can use it.
    user_id    text not null,
    content    bytea not null,
    created_at timestamptz not null default statement_timestamp(),
    primary key (broker_id, id)
);
create index uploads_by_user on porchlight.uploads (broker_id, user_id);
create index uploads_by_age on porchlight.uploads (created_at);

-- How far an import has come. It moves in the transaction that makes the records: whoever goes
-- on, after whatever end of a worker, makes none twice and leaves none out.
create table porchlight.imports (
    broker_id text not null,
    task_id   text not null,
    -- Rows that are done with, whatever came of them.
    next_row  integer not null default 0,
    created   integer not null default 0,
    bad       integer not null default 0,
    primary key (broker_id, task_id),
    constraint import_goes_with_its_task
        foreign key (broker_id, task_id) references porchlight.tasks on delete cascade,
    constraint import_counts_its_rows check (
        created >= 0 and bad >= 0 and created + bad = next_row)
);

-- What was wrong with rows; never a value.
create table porchlight.import_faults (
    broker_id text not null,
    task_id   text not null,
    n         integer generated always as identity,
    line      integer not null,
    -- As the file calls it; none where the row as a whole is at fault.
    "column"  text,
    field     text,
    reason    text not null,
    primary key (broker_id, task_id, n),
    constraint import_faults_go_with_their_import
        foreign key (broker_id, task_id) references porchlight.imports on delete cascade
);

-- Makes records of objects of values by column, with one statement, so that their table tells of
-- them with one, too. What an object leaves out is as the table would have it.
create function porchlight.insert_records(module text, broker text, given jsonb)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l       record := porchlight.record_list(module);
    columns text;
    vals    text;
begin
    select string_agg(format(', %I', k.name), '' order by k.name),
        string_agg(case when d.oid is null then format(', p.%I', k.name)
            else format(', case when e.fields ? %L then p.%I else %s end', k.name, k.name,
                pg_get_expr(d.adbin, d.adrelid)) end, '' order by k.name)
        into columns, vals
    from (select distinct jsonb_object_keys(r.fields) as name
          from jsonb_array_elements(given) as r(fields)) k
    join pg_attribute a on a.attrelid = l.records and a.attname = k.name and a.attnum > 0
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum;
    execute format('insert into %1$s (broker_id%2$s)
        select $1%3$s from jsonb_array_elements($2) with ordinality as e(fields, place)
        cross join lateral jsonb_populate_record(null::%1$s, e.fields) p order by e.place',
        l.records, columns, vals) using broker, given;
end
$$;
