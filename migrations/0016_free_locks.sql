-- Rows of locks that nobody holds are removed after a while.

-- How long the lock has been free; null while somebody holds it. A record that is deleted gets -infinity.
alter table porchlight.locks add column free_since timestamptz default now();
create index locks_free on porchlight.locks (free_since) where user_id is null;

-- The greatest fence of a removed row, by brokerage. A new row continues from here, so that no fence is
-- ever given twice.
create table porchlight.fence_floors (
    broker_id text primary key,
    floor     bigint not null
);
