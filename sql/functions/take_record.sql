-- revision: 1
-- Reads one record for a change, and locks it until the transaction ends.
create or replace function porchlight.take_record(module text, broker text, id text)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l record := porchlight.record_list(module);
begin
    return query execute format('select %s from %s n where n.broker_id = $1 and n.id = $2
        for update', l.list, l.records) using broker, id;
end
$$;
