-- The teams of each user, as the newest token says. A newer token with fewer teams tells that the user
-- has left the others.
create table porchlight.memberships (
    broker_id text not null,
    user_id   text not null,
    -- Sorted.
    teams     text[] not null,
    -- When the token was issued.
    as_of     timestamptz not null,
    primary key (broker_id, user_id)
);
