-- revision: 1
-- Creates a record from values by column.
create or replace function porchlight.insert_record(module text, broker text, fields jsonb)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l       record := porchlight.record_list(module);
    columns text;
    given   text;
begin
    select string_agg(format(', %I', k), '' order by k),
        string_agg(format(', p.%I', k), '' order by k)
        into columns, given
    from jsonb_object_keys(fields) as k;
    return query execute format('with n as (
            insert into %1$s as n (broker_id%2$s)
            select $1%3$s from jsonb_populate_record(null::%1$s, $2) p
            returning n.*
        ) select %4$s from n', l.records, columns, given, l.list) using broker, fields;
end
$$;
