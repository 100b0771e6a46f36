-- Claims over all brokerages give each brokerage its turn.

-- The brokerage that had the last turn, for each set of types that workers ask for. The next one is
-- the next of those that wait, in the order of their names, and after the last the first again. So
-- between two turns of one brokerage each other one that waits has one, whatever worker asks.
create table porchlight.claim_turns (
    types     text[] primary key,
    broker_id text not null
) with (fillfactor = 10); -- A row is updated with every claim: always in place.

-- Tasks that can be claimed: queued, and rested (the sweeper ends a rest). Both the tasks of one
-- brokerage by age and the next brokerage that has any are found here, and no claim reads past those
-- that rest.
create index tasks_ready on porchlight.tasks (type, broker_id, created_at)
    where state = 'queued' and not is_workflow and run_after is null;
drop index porchlight.tasks_queued;
drop index porchlight.tasks_queued_anywhere;
