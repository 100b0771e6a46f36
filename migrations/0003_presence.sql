-- Presence: who is here. Rows are signs of life that instances write for each other, in
-- batches; what they mean is worked out by every instance for itself.

-- Instances that are alive. A stream is a sign of life for as long as its instance is.
create table porchlight.instances (
    instance   text primary key,
    live_until timestamptz not null
);

-- One session of one user, as one instance has noticed it. Only that instance writes it.
create table porchlight.presence (
    broker_id        text not null,
    user_id          text not null,
    -- A device or tab; empty for all streams of the user at this instance.
    session          text not null,
    instance         text not null,
    -- The instance's count of its writes: others read on from the last they have seen.
    flush            bigint not null,
    -- The teams of its token, with commas between them.
    teams            text not null,
    status           text not null,
    -- What it shows and what it changes, as `module/record`, and who may see that.
    viewing          text,
    viewing_audience text,
    editing          text,
    editing_audience text,
    said_at          timestamptz not null,
    -- When its user last did something.
    active_at        timestamptz not null,
    -- When it ends or has ended; null for streams, which last as long as their instance.
    live_until       timestamptz,
    primary key (broker_id, user_id, session, instance),
    constraint status_is_known check (status in ('online', 'away')),
    constraint only_streams_last check (live_until is not null or session = ''),
    constraint viewing_has_an_audience check ((viewing is null) = (viewing_audience is null)),
    constraint editing_has_an_audience check ((editing is null) = (editing_audience is null))
) with (fillfactor = 70); -- Heartbeats rewrite rows all the time.

create index presence_by_flush on porchlight.presence (instance, flush);
