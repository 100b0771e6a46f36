-- revision: 1
-- Deletes a record.
create or replace function porchlight.delete_record(module text, broker text, id text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    l record := porchlight.record_list(module);
begin
    execute format('delete from %s n where n.broker_id = $1 and n.id = $2', l.records)
        using broker, id;
end
$$;
