-- Changes of watched tables that were committed without an event, because the database lacked space or memory.

-- Counts them. A sequence needs no space, and counts also in a transaction that is undone.
create sequence porchlight.lost_changes;

-- Up to where clients got a reset for them.
create table porchlight.told_losses (
    up_to bigint not null
);
insert into porchlight.told_losses values (0);
