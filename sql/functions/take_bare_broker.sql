-- revision: 1
-- Whether a brokerage has no records. The caller holds a lock until its transaction ends. So if two fill the
-- same brokerage, the second one sees the records of the first.
create or replace function porchlight.take_bare_broker(broker text)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- Filling a brokerage takes longer than most transactions.
    set lock_timeout = '15s'
as $$
declare
    t        porchlight.record_tables;
    is_taken boolean;
begin
    perform pg_advisory_xact_lock(hashtextextended('porchlight.seed:' || broker, 0));
    for t in select * from porchlight.record_tables loop
        execute format('select exists (select from %s n where n.broker_id = $1)', t.records)
            into is_taken using broker;
        if is_taken then
            return false;
        end if;
    end loop;
    return true;
end
$$;
