-- Who owns a record by now, and what its fields were before.

alter table porchlight.events
    -- The old values of what changed, except what is private. No client is sent them with an
    -- event: they are for those who tell what happened, like "from $400,000 to $395,000".
    add column previous  json,
    -- With this event the record got another owner, and so did its earlier events.
    add column new_owner boolean not null default false;
comment on column porchlight.events.owner_id is
    'Who owns the record: as of the event, or as of now where the event has private fields.';

alter table porchlight.outbox
    add column previous     text,
    add column is_new_owner boolean not null default false;
