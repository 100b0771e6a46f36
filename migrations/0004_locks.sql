-- Locks on records.

-- One row per record that was ever locked. The row stays when the lock ends: otherwise `fence` would
-- start at zero again, and an old writer could have the fence of a new one.
create table porchlight.locks (
    broker_id    text not null,
    module       text not null,
    record_id    text not null,
    -- Grows with every grant, while the row is locked. No value is used twice.
    fence        bigint not null default 0,
    -- The holder; null when the lock is free.
    user_id      text,
    -- The device that is shown with the lock.
    session      text,
    -- Every device of the holder that renews it: {"tab-1": {"until": …, "leaseSeconds": 300}}.
    sessions     jsonb,
    -- The audience of the grant, which is also the audience of its end.
    audience     text,
    locked_at    timestamptz,
    -- When the holder renewed it last.
    renewed_at   timestamptz,
    -- The latest end in `sessions`. A lock that has expired is free even before it is swept.
    locked_until timestamptz,
    -- The users who requested it, in order: [{"userId": …, "toldAt": …}].
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

-- Held locks in the order of lists, so that a page does not sort all of them.
create index locks_held_since on porchlight.locks (broker_id, locked_at, module, record_id)
    where locked_until is not null;
-- The locks that expire next.
create index locks_by_end on porchlight.locks (locked_until) where locked_until is not null;
