-- An example brokerage is only made where there are no records yet.

-- Whether a broker has no records at all. Whoever asks is the only one who does, to the end of
-- its transaction: of two who would fill the same broker, the second sees what the first made.
create function porchlight.take_bare_broker(broker text)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- Filling a broker takes longer than most of what one waits for.
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
