-- Sessions: revoked tokens, streams that get a fresh token, and tickets.

-- The number of the last change of the two tables below. A change locks the row to the end of its
-- transaction, so numbers become visible in order, and an instance that reads those after its last one
-- misses none.
create table porchlight.session_head (
    only_one boolean primary key default true check (only_one),
    head     bigint not null default 0
);
insert into porchlight.session_head default values;

-- Tokens that are refused although they are valid.
create table porchlight.revocations (
    broker_id     text not null,
    kind          text not null,
    -- The `jti` of a token, or a user; empty for the whole brokerage.
    subject       text not null,
    -- The team that a user has left; otherwise empty.
    team          text not null default '',
    -- Tokens that were issued before are refused; null for a token.
    issued_before timestamptz,
    -- When the last of these tokens has expired; null if that is not known.
    kept_until    timestamptz,
    number        bigint not null,
    primary key (broker_id, kind, subject, team),
    constraint kind_is_known check (kind in ('token', 'user', 'member', 'broker')),
    constraint only_tokens_have_no_time check ((issued_before is null) = (kind = 'token')),
    constraint only_members_have_a_team check ((team <> '') = (kind = 'member')),
    constraint brokerages_have_no_subject check ((subject = '') = (kind = 'broker'))
);
create index revocations_by_number on porchlight.revocations (number);
create index revocations_by_end on porchlight.revocations (kept_until);

-- Fresh tokens for streams of other instances. The instance that has the stream writes the outcome.
create table porchlight.stream_renewals (
    broker_id  text not null,
    user_id    text not null,
    stream     text not null,
    number     bigint not null,
    role       text not null,
    teams      text[] not null,
    token_id   text,
    issued_at  timestamptz,
    -- The fingerprint of the key that verified the token, if the key can be removed.
    key_id     text,
    expires_at timestamptz not null,
    outcome    text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (broker_id, user_id, stream),
    constraint outcome_is_known check (outcome in ('renewed', 'changed'))
);
create index stream_renewals_by_number on porchlight.stream_renewals (number);

-- Tickets stand for a token in the address of a stream.
create table porchlight.tickets (
    -- SHA-256 of the ticket, which is not stored.
    hash       bytea primary key,
    broker_id  text not null,
    user_id    text not null,
    role       text not null,
    teams      text[] not null,
    name       text,
    token_id   text,
    issued_at  timestamptz,
    key_id     text,
    -- Whether the brokerage was looked up, because the token does not name it.
    looked_up  boolean not null,
    -- The origin of the page that asked for it; null for other clients.
    origin     text,
    created_at timestamptz not null,
    -- The first use must come before.
    use_before timestamptz not null,
    used_at    timestamptz,
    -- When the token ends.
    expires_at timestamptz not null
);
create index tickets_by_user on porchlight.tickets (broker_id, user_id, created_at);
create index tickets_by_end on porchlight.tickets (expires_at);
create index unused_tickets on porchlight.tickets (use_before) where used_at is null;
