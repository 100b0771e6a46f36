-- revision: 1
-- For transactions of the CRM, before they write: fails unless the lock is held with this fence. If it
-- is, it stays so until the transaction ends: a grant, a takeover or a release locks the row `for update`
-- and waits until then. A renewal changes no key and does not wait. Errors have the SQLSTATE PLF01.
create or replace function porchlight.check_fence(broker text, module text, record text, fence bigint)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    held porchlight.locks;
    why  text;
begin
    select * into held from porchlight.locks l
    where l.broker_id = check_fence.broker and l.module = check_fence.module
        and l.record_id = check_fence.record
    for key share;
    -- In this order, and with the current time, because the select may have waited.
    if held.user_id is null then
        why := 'nobody holds it';
    elsif held.locked_until <= clock_timestamp() then
        why := format('the lease of %s with fence %s was over at %s',
            held.user_id, held.fence, held.locked_until);
    elsif check_fence.fence is null or held.fence <> check_fence.fence then
        why := format('%s holds it with fence %s until %s',
            held.user_id, held.fence, held.locked_until);
    else
        return;
    end if;
    raise exception 'the lock on %/% is not held with fence %',
            check_fence.module, check_fence.record, check_fence.fence
        using errcode = 'PLF01', detail = why,
            hint = 'Lock the record again, read it again, then write with the new fence.';
end
$$;
