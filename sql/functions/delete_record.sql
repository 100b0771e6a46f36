-- revision: 2
-- Deletes a record. The row of its lock can be removed once the lock is free.
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
    -- This changes no key, so it does not wait for transactions that have checked a fence.
    update porchlight.locks k set free_since = '-infinity'
    where k.broker_id = broker and k.module = delete_record.module and k.record_id = id;
end
$$;
