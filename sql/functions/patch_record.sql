-- revision: 1
-- Changes the columns that are in `fields`, which is not empty.
create or replace function porchlight.patch_record(module text, broker text, id text, fields jsonb)
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
    changes text;
begin
    select string_agg(format('%1$I = p.%1$I', k), ', ' order by k) into changes
    from jsonb_object_keys(fields) as k;
    return query execute format('with n as (
            update %1$s as n set %2$s
            from jsonb_populate_record(null::%1$s, $3) p
            where n.broker_id = $1 and n.id = $2
            returning n.*
        ) select %3$s from n', l.records, changes, l.list) using broker, id, fields;
end
$$;
