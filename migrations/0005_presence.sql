-- Presence. Instances write signs of life for each other, in batches. Each instance computes from them
-- who is online.

-- Instances that are alive. A stream is a sign of life as long as its instance is alive.
create table porchlight.instances (
    instance   text primary key,
    live_until timestamptz not null
);

-- One session of one user, as one instance knows it. Only that instance writes the row.
create table porchlight.presence (
    broker_id        text not null,
    user_id          text not null,
    -- A device or tab; empty for all streams of the user at this instance.
    session          text not null,
    instance         text not null,
    -- The number of the instance's write. Other instances continue after the last number they read.
    flush            bigint not null,
    -- The teams in the token, separated by commas.
    teams            text not null,
    status           text not null,
    -- The record that the session shows and the one that it edits, as `module/record`, and who may
    -- see that.
    viewing          text,
    viewing_audience text,
    editing          text,
    editing_audience text,
    said_at          timestamptz not null,
    -- When the user was active last.
    active_at        timestamptz not null,
    -- When it ends or ended; null for streams, which last as long as their instance.
    live_until       timestamptz,
    primary key (broker_id, user_id, session, instance),
    constraint status_is_known check (status in ('online', 'away')),
    constraint only_streams_last check (live_until is not null or session = ''),
    constraint viewing_has_an_audience check ((viewing is null) = (viewing_audience is null)),
    constraint editing_has_an_audience check ((editing is null) = (editing_audience is null))
) with (fillfactor = 70); -- Heartbeats update rows often.

create index presence_by_flush on porchlight.presence (instance, flush);
