-- revision: 1
-- Gives every log a new epoch if changes of watched tables were lost: clients get a reset and load again what they
-- show. Waits until the transactions of these changes have ended, because clients would load the state before them.
-- Returns how many changes were lost; a change that was undone counts too.
create or replace function porchlight.reset_after_loss() returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    lost bigint;
    told bigint;
begin
    -- `capture` has it, shared, until its transaction ends.
    if not pg_try_advisory_xact_lock(123623962798084) then -- 0x706f72636804
        return 0;
    end if;
    select case when s.is_called then s.last_value else 0 end into lost from porchlight.lost_changes s;
    select t.up_to into told from porchlight.told_losses t;
    if lost <= told then
        return 0;
    end if;
    perform from porchlight.brokers order by broker_id for update;
    update porchlight.brokers
        set epoch = substr(md5(random()::text || clock_timestamp()::text || broker_id), 1, 8);
    update porchlight.told_losses set up_to = lost;
    return lost - told;
end
$$;
