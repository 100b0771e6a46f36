-- Notifications: what people are told by name, and what of it they have read.

-- One row per broker, and the lock that orders its notifications: whoever makes some raises
-- `last_id` and keeps the row to the end of the transaction, and whoever reads some holds it still.
-- So ids grow in commit order, and a number of unread ones is never told out of order.
create table porchlight.notification_books (
    broker_id text primary key,
    last_id   bigint not null
) with (fillfactor = 50);

create table porchlight.notifications (
    broker_id  text not null,
    id         bigint not null,
    -- Who gets it: `broker`, `team:<id>` or `user:<id>`.
    audience   text not null,
    level      text not null,
    -- Why it was made, where it was made by itself.
    kind       text,
    -- What it is about: further ones of the kind raise `count` instead of standing beside it.
    subject    text,
    -- For notices of those who run the brokerage.
    system     text,
    title      text not null,
    body       text,
    -- The record it leads to.
    module     text,
    record_id  text,
    -- Who caused it.
    user_id    text,
    count      bigint not null default 1,
    created_at timestamptz not null default now(),
    -- When it was told last.
    told_at    timestamptz not null default now(),
    primary key (broker_id, id),
    constraint audience_names_its_kind check (audience = 'broker' or audience ~ '^(team|user):.'),
    constraint level_is_known check (level in ('info', 'success', 'warning', 'error')),
    constraint system_is_for_the_broker check (
        system is null or (system in ('maintenance', 'broadcast') and audience = 'broker')),
    constraint record_belongs_to_a_module check (record_id is null or module is not null),
    constraint only_what_was_made_by_itself_has_a_subject check ((kind is null) = (subject is null))
);

-- Somebody's list, and what of it is unread.
create index notifications_by_audience on porchlight.notifications (broker_id, audience, id);
-- The one that another of its kind is added to.
create index notifications_by_subject on porchlight.notifications (broker_id, audience, kind, subject)
    where kind is not null;
create index notifications_by_age on porchlight.notifications (created_at);

-- What was read one by one.
create table porchlight.notification_reads (
    broker_id text not null,
    id        bigint not null,
    user_id   text not null,
    read_at   timestamptz not null default now(),
    primary key (broker_id, id, user_id),
    foreign key (broker_id, id) references porchlight.notifications on delete cascade
);

-- One row per reader, and the lock that orders what is told of their unread ones.
create table porchlight.notification_marks (
    broker_id  text not null,
    user_id    text not null,
    -- All up to here are read.
    read_up_to bigint not null default 0,
    -- The teams that the reader had when they asked last: whose notifications are counted. Null
    -- before they ask for the first time.
    teams      text[],
    primary key (broker_id, user_id)
);

-- What a user does not want to be told of, and what they want again.
create table porchlight.notification_preferences (
    broker_id text not null,
    user_id   text not null,
    kind      text not null,
    is_on     boolean not null,
    primary key (broker_id, user_id, kind)
);

-- How many of a reader's notifications are unread.
create function porchlight.unread_notifications(broker text, reader text, audiences text[])
    returns bigint
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select count(*) from porchlight.notifications n
    where n.broker_id = broker and n.audience = any (audiences)
        and n.id > coalesce((
            select m.read_up_to from porchlight.notification_marks m
            where m.broker_id = broker and m.user_id = reader), 0)
        and not exists (
            select from porchlight.notification_reads r
            where r.broker_id = n.broker_id and r.id = n.id and r.user_id = reader)
$$;

-- Up to where the notifier has read each log. Logs that are here already are read from now on,
-- for nobody wants to be told of last week; one that has no row is new, and read from its beginning.
create table porchlight.notified (
    broker_id text primary key,
    position  bigint not null
) with (fillfactor = 50);
insert into porchlight.notified (broker_id, position) select broker_id, head from porchlight.brokers;

-- What users are called, as their tokens say.
create table porchlight.people (
    broker_id text not null,
    user_id   text not null,
    name      text not null,
    primary key (broker_id, user_id)
);
