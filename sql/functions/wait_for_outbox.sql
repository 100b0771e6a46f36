-- revision: 1
-- Waits until the outbox has rows: true, or false after `most_ms`. One instance waits at a time; for the others the
-- answer is null at once. Looking again in here costs the database no transaction, and the relay no round trip.
-- Without watched tables and unless rows are expected, it looks at the beginning and at the end only.
create or replace function porchlight.wait_for_outbox(most_ms integer, every_ms integer, is_expecting boolean)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    until constant timestamptz := clock_timestamp() + most_ms * interval '1 ms';
    began timestamptz;
    pause interval := most_ms * interval '1 ms';
begin
    if not pg_try_advisory_xact_lock(123623962798083) then -- 0x706f72636803
        return null;
    end if;
    -- Writers to our own tables of records wake the relay.
    if is_expecting or exists (select from porchlight.watches w where not exists (
        select from porchlight.record_tables t where t.records = w.watched))
    then
        pause := every_ms * interval '1 ms';
    end if;
    loop
        began := clock_timestamp();
        if porchlight.is_anything_waiting() then
            return true;
        end if;
        if clock_timestamp() >= until then
            return false;
        end if;
        -- Many dead rows make a look slow. Half of the time stays for the CRM.
        perform pg_sleep_for(least(greatest(pause, clock_timestamp() - began), until - clock_timestamp()));
    end loop;
end
$$;
