-- Tasks: a user creates them, a worker does them. Their output is what a model writes while it works.

create table porchlight.tasks (
    broker_id           text not null,
    id                  text not null,
    -- The user, and the team that gets its events too.
    user_id             text not null,
    team_id             text,
    type                text not null,
    title               text,
    -- `json`, not `jsonb`: workers get the text as it was sent.
    params              json not null,
    -- The workflow that it is a step of.
    parent_id           text,
    -- It has children and no worker does it: its state follows from theirs.
    is_workflow         boolean not null default false,
    -- The failed or cancelled task that it repeats.
    retry_of            text,
    -- The creator's idempotency key, and the hash of the request.
    idempotency_key     text,
    body_hash           bytea,
    state               text not null default 'queued',
    -- The progress in tenths of a percent, and the current step.
    permille            smallint,
    step                integer,
    steps               integer,
    message             text,
    -- A partial result, the result, and why it failed or was queued again.
    partial             json,
    result              json,
    error               json,
    -- Grows with every claim. It is the fence: only the worker with the newest attempt may write.
    attempt             integer not null default 0,
    max_attempts        integer not null,
    -- The worker, and the end of its lease.
    worker_id           text,
    lease_seconds       integer,
    lease_until         timestamptz,
    -- A task that is queued again waits until then. Null: workers may claim it now.
    run_after           timestamptz,
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    -- The last report (of a workflow: the last time its children were read), the last event about
    -- progress, and whether there is progress that has not been published.
    reported_at         timestamptz,
    told_at             timestamptz,
    is_untold           boolean not null default false,
    -- The end of the newest attempt's output.
    output_bytes        integer not null default 0,
    -- Grows with every event about it.
    version             bigint not null default 0,
    created_at          timestamptz not null,
    started_at          timestamptz,
    ended_at            timestamptz,
    -- The rights with which the built-in worker acts: the teams and the role of the user at creation.
    -- No answer contains it.
    on_behalf           json,
    -- The kind of caller that created it.
    asked_as            text not null default 'person',
    primary key (broker_id, id),
    constraint task_steps_go_with_their_workflow
        foreign key (broker_id, parent_id) references porchlight.tasks on delete cascade,
    constraint task_asked_as_known check (asked_as in ('person', 'service', 'worker')),
    constraint task_state_known check (
        state in ('queued', 'running', 'cancelling', 'completed', 'failed', 'cancelled')),
    constraint task_workflows_stand_alone check (not is_workflow or parent_id is null),
    -- A task has a lease exactly while a worker does it.
    constraint task_held_while_at_work check (
        num_nulls(worker_id, lease_seconds, lease_until)
            = case when state in ('running', 'cancelling') and not is_workflow then 0 else 3 end),
    constraint task_attempts_bounded check (
        attempt between 0 and max_attempts and max_attempts between 1 and 10
        and (attempt = 0 or not is_workflow)),
    constraint task_over_since check (
        (ended_at is not null) = (state in ('completed', 'failed', 'cancelled'))),
    constraint task_cancelling_by_request check (
        state <> 'cancelling' or num_nulls(cancel_requested_at, cancel_requested_by) = 0),
    constraint task_rests_in_the_queue check (run_after is null or state = 'queued'),
    constraint task_progress_in_range check (
        permille between 0 and 1000 and num_nulls(step, steps) in (0, 2)
        and step between 0 and steps),
    constraint task_outcome_fits_state check (
        (result is null or state = 'completed') and (error is null or state <> 'completed')
        and (error is not null or state <> 'failed')),
    constraint task_told_at_its_end check (not is_untold or ended_at is null),
    constraint task_key_has_a_body check (num_nulls(idempotency_key, body_hash) in (0, 2)),
    constraint task_output_counted check (output_bytes >= 0)
) with (fillfactor = 50); -- Progress reports are frequent: leave room for updates in place.

-- No index contains a column that a progress report changes, so that these updates stay in place.

-- A retry of a request creates no second task.
create unique index task_key_used_once
    on porchlight.tasks (broker_id, user_id, asked_as, idempotency_key)
    where idempotency_key is not null;
-- A task is repeated once; after that, its successor is.
create unique index task_retried_once on porchlight.tasks (broker_id, retry_of)
    where retry_of is not null;
-- Tasks that workers may claim (the sweeper sets `run_after` to null when the wait is over). A claim
-- finds both the oldest tasks of a brokerage and the next brokerage with tasks, and never reads
-- tasks that wait.
create index tasks_ready on porchlight.tasks (type, broker_id, created_at)
    where state = 'queued' and not is_workflow and run_after is null;
-- The sweeper.
create index tasks_at_work on porchlight.tasks (broker_id, id)
    where state in ('running', 'cancelling');
create index tasks_resting on porchlight.tasks (run_after) where run_after is not null;
-- A workflow's children; lists, newest first.
create index tasks_by_parent on porchlight.tasks (broker_id, parent_id) where parent_id is not null;
create index tasks_by_user on porchlight.tasks (broker_id, user_id, created_at desc, id desc);
create index tasks_by_team on porchlight.tasks (broker_id, team_id, created_at desc, id desc)
    where team_id is not null;
create index tasks_by_age on porchlight.tasks (broker_id, created_at desc, id desc);
-- Retention.
create index tasks_over on porchlight.tasks (ended_at) where ended_at is not null;

-- The output so far: chunks without gaps, by attempt.
create table porchlight.task_output (
    broker_id text not null,
    task_id   text not null,
    attempt   integer not null,
    -- Where the chunk begins, in bytes of UTF-8.
    at_byte   integer not null,
    chunk     text not null,
    primary key (broker_id, task_id, attempt, at_byte),
    constraint task_output_goes_with_its_task
        foreign key (broker_id, task_id) references porchlight.tasks on delete cascade,
    constraint task_output_begins_somewhere check (at_byte >= 0 and chunk <> '')
);

-- For claims over all brokerages: the brokerage that had the last turn, for each set of types that
-- workers ask for. The next turn goes to the next brokerage with tasks, in the order of names; after
-- the last comes the first again. So no brokerage has two turns while another one waits.
create table porchlight.claim_turns (
    types     text[] primary key,
    broker_id text not null
) with (fillfactor = 10); -- Each claim updates a row: always in place.
