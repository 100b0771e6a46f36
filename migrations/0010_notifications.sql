-- Notifications, and which of them each user has read.

-- One row per brokerage. It is also the lock that orders its notifications: a transaction that creates
-- some raises `last_id` and keeps the row locked until it ends; a transaction that marks some as read
-- locks it too. So ids grow in commit order, and counts of unread ones are published in order.
create table porchlight.notification_books (
    broker_id text primary key,
    last_id   bigint not null,
    -- Grows when retention removes notifications: stored counts of unread ones are wrong then.
    removals  bigint not null default 0
) with (fillfactor = 50);

create table porchlight.notifications (
    broker_id  text not null,
    id         bigint not null,
    -- Who gets it: `broker`, `team:<id>` or `user:<id>`.
    audience   text not null,
    level      text not null,
    -- Why the service created it; null if a request did.
    kind       text,
    -- What it is about. A further notification of the same kind and subject raises `count` instead.
    subject    text,
    -- Only of notices by the operators.
    system     text,
    title      text not null,
    body       text,
    -- The record that it links to.
    module     text,
    record_id  text,
    -- Who caused it.
    user_id    text,
    count      bigint not null default 1,
    created_at timestamptz not null default now(),
    -- When it was last published.
    told_at    timestamptz not null default now(),
    primary key (broker_id, id),
    constraint audience_names_its_kind check (audience = 'broker' or audience ~ '^(team|user):.'),
    constraint level_is_known check (level in ('info', 'success', 'warning', 'error')),
    constraint system_is_for_the_broker check (
        system is null or (system in ('maintenance', 'broadcast') and audience = 'broker')),
    constraint record_belongs_to_a_module check (record_id is null or module is not null),
    constraint only_what_was_made_by_itself_has_a_subject check ((kind is null) = (subject is null))
);

-- A user's list, and the unread ones in it.
create index notifications_by_audience on porchlight.notifications (broker_id, audience, id);
-- The notification whose `count` a further one raises.
create index notifications_by_subject on porchlight.notifications (broker_id, audience, kind, subject)
    where kind is not null;
create index notifications_by_age on porchlight.notifications (created_at);

-- Notifications that were marked as read one by one.
create table porchlight.notification_reads (
    broker_id text not null,
    id        bigint not null,
    user_id   text not null,
    read_at   timestamptz not null default now(),
    primary key (broker_id, id, user_id),
    foreign key (broker_id, id) references porchlight.notifications on delete cascade
);
-- What one user has read, without reading the rows of others.
create index notification_reads_by_user on porchlight.notification_reads (broker_id, user_id, id);

-- One row per user. It is also the lock that orders the events about their unread notifications.
create table porchlight.notification_marks (
    broker_id        text not null,
    user_id          text not null,
    -- Every notification up to here counts as read.
    read_up_to       bigint not null default 0,
    -- The user's teams at their last request, whose notifications are counted. Null before the first
    -- request.
    teams            text[],
    -- A stored count: so many were unread up to this id, for these teams, after so many removals.
    -- Teams are null if nothing was counted. Later counts continue from here.
    counted_up_to    bigint not null default 0,
    counted          bigint not null default 0,
    counted_teams    text[],
    counted_removals bigint not null default 0,
    primary key (broker_id, user_id)
);

-- Kinds of notifications that a user has switched off or on again.
create table porchlight.notification_preferences (
    broker_id text not null,
    user_id   text not null,
    kind      text not null,
    is_on     boolean not null,
    primary key (broker_id, user_id, kind)
);

-- The position up to which the notifier has read each log. A log without a row is read from its
-- beginning.
create table porchlight.notified (
    broker_id text primary key,
    position  bigint not null
) with (fillfactor = 50);
