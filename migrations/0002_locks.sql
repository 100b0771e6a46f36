-- Locks: who is at work on a record, and since which grant.

-- One row per record that was ever locked. It stays when the lock goes: `fence` would
-- begin anew otherwise, and an old writer would pass for a new one.
create table porchlight.locks (
    broker_id    text not null,
    module       text not null,
    record_id    text not null,
    -- Grows with every grant, under the row's lock, and is never used twice.
    fence        bigint not null default 0,
    -- Who holds it; null when it is free.
    user_id      text,
    -- The device it is shown with.
    session      text,
    -- Every device of the holder that keeps it: {"tab-1": {"until": …, "leaseSeconds": 300}}.
    sessions     jsonb,
    -- Who was told of the grant, and will be told of the end.
    audience     text,
    locked_at    timestamptz,
    -- The last sign of the holder.
    renewed_at   timestamptz,
    -- The longest of `sessions`. A lock that is over is free, whether swept or not.
    locked_until timestamptz,
    -- Who asked for it, in order: [{"userId": …, "toldAt": …}].
    waiting      jsonb not null default '[]',
    primary key (broker_id, module, record_id),
    constraint fences_grow_from_zero check (fence >= 0),
    constraint held_or_free check (
        num_nulls(user_id, session, sessions, audience, locked_at, renewed_at, locked_until) in (0, 7)),
    constraint held_since_a_grant check (user_id is null or fence > 0),
    constraint held_by_some_session check (
        sessions is null or (jsonb_typeof(sessions) = 'object' and sessions <> '{}')),
    constraint nobody_waits_for_what_is_free check (
        jsonb_typeof(waiting) = 'array' and (user_id is not null or waiting = '[]')),
    constraint audience_names_its_kind check (audience = 'broker' or audience ~ '^(team|user):.')
) with (fillfactor = 80);

-- What is held, among all that ever was.
create index locks_held on porchlight.locks (broker_id) where locked_until is not null;
-- What ends next.
create index locks_by_end on porchlight.locks (locked_until) where locked_until is not null;

-- For the CRM's own transactions, before they write: refuses whoever does not hold the
-- lock with this fence (any more). What passes, passes to the end of the transaction: a
-- grant, a takeover or a release takes the row `for update` and waits until then, while a
-- renewal changes no key and does not. Errors have the SQLSTATE PLF01.
create function porchlight.check_fence(broker text, module text, record text, fence bigint)
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
    -- In this order, and on the clock as it is now, for we may have waited.
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
