-- revision: 1
-- Reads one record.
create or replace function porchlight.read_record(module text, broker text, id text)
    returns setof porchlight.record_row
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l record := porchlight.record_list(module);
begin
    return query execute format('select %s from %s n where n.broker_id = $1 and n.id = $2',
        l.list, l.records) using broker, id;
end
$$;
