-- Quotas: how much of what each user and each brokerage has. Triggers count (`count_use`), and refuse
-- what would be one too many.

create table porchlight.quota_use (
    broker_id text not null,
    -- What is counted: `tasks`, `locks`, `notifications`, `keys` or `uploads`.
    kind      text not null,
    -- Empty for all of the brokerage.
    user_id   text not null,
    used      bigint not null,
    primary key (broker_id, kind, user_id)
) with (fillfactor = 50); -- Leave room for updates in place.

-- The person who posted a notification. Null if a service did, or if it was made from an event.
alter table porchlight.notifications add column posted_by text;
