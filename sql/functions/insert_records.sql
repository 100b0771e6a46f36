-- revision: 1
-- Creates records from objects of values by column, with one statement, so that capture runs once. A column
-- that an object does not have gets its default.
create or replace function porchlight.insert_records(module text, broker text, given jsonb)
    returns void
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
