-- revision: 1
-- Gives every log a new epoch, so that each cursor from before gets a reset. To call after a restore that Porchlight
-- cannot notice: `porchlight new-epochs`. Clients of the time after the backup may have fences and numbers that the
-- database does not know. So none is given again: fences of locks, attempts of tasks and numbers of revocations
-- continue far behind. Returns the number of logs.
create or replace function porchlight.renew_epochs() returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- More than were given since any backup.
    grants     constant bigint := 1000000000;
    attempts   constant integer := 1000;
    next_fence bigint;
    renewed    bigint;
begin
    perform from porchlight.origin for update;
    -- The logs come last, as in every transaction that appends.
    perform from porchlight.locks order by broker_id, module, record_id for update;
    select grants + greatest((select max(fence) from porchlight.locks),
        (select max(f.floor) from porchlight.fence_floors f), (select max(o.fence_floor) from porchlight.origin o), 0)
        into next_fence;
    update porchlight.locks set fence = next_fence;
    perform from porchlight.tasks where ended_at is null and not is_workflow order by broker_id, id for update;
    update porchlight.task_output o set attempt = o.attempt + attempts
        from porchlight.tasks t
        where t.broker_id = o.broker_id and t.id = o.task_id and t.ended_at is null;
    update porchlight.tasks set attempt = attempt + attempts, skipped_attempts = skipped_attempts + attempts
        where ended_at is null and not is_workflow;
    update porchlight.session_head set head = head + grants;
    perform from porchlight.brokers order by broker_id for update;
    -- Epochs have six characters at first, so none of these equals one.
    update porchlight.brokers
        set epoch = substr(md5(random()::text || clock_timestamp()::text || broker_id), 1, 8);
    get diagnostics renewed = row_count;
    update porchlight.origin set fence_floor = next_fence,
        written_in = (pg_current_xact_id()::text::numeric % 4294967296)::bigint;
    return renewed;
end
$$;
