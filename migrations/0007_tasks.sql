-- Tasks: what a user asks for and a worker does, and what it writes while it is at it.

-- Waiting workers are an audience of their own. What is there already fits the narrower rule.
alter table porchlight.events drop constraint audience_names_its_kind;
alter table porchlight.events add constraint audience_names_its_kind
    check (audience in ('broker', 'workers') or audience ~ '^(team|user):.') not valid;

create table porchlight.tasks (
    broker_id           text not null,
    id                  text not null,
    -- Whose it is, and the team that is told of it too.
    user_id             text not null,
    team_id             text,
    type                text not null,
    title               text,
    -- `json`, not `jsonb`: workers get to the letter what was asked for.
    params              json not null,
    -- The workflow it is a step of.
    parent_id           text,
    -- It has children, and no worker ever does it: it is where they are.
    is_workflow         boolean not null default false,
    -- The failed or cancelled task that this one does again.
    retry_of            text,
    -- What its creator calls the request, and its fingerprint.
    idempotency_key     text,
    body_hash           bytea,
    state               text not null default 'queued',
    -- How far it has come, in tenths of a percent, and which step it is at.
    permille            smallint,
    step                integer,
    steps               integer,
    message             text,
    -- What has been found so far, what came out, why it failed (or was begun again).
    partial             json,
    result              json,
    error               json,
    -- Grows with every claim, and is the fence: of two workers, the newer one counts.
    attempt             integer not null default 0,
    max_attempts        integer not null,
    -- Who does it, and until when without another sign.
    worker_id           text,
    lease_seconds       integer,
    lease_until         timestamptz,
    -- Queued again, it rests until then. Null: workers know that it is there.
    run_after           timestamptz,
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    -- The last report (of a workflow: the last look at its children), the last event of
    -- progress, and whether there is something newer that has not been told.
    reported_at         timestamptz,
    told_at             timestamptz,
    is_untold           boolean not null default false,
    -- The end of the newest attempt's output.
    output_bytes        integer not null default 0,
    -- Grows with everything that is told of it.
    version             bigint not null default 0,
    created_at          timestamptz not null,
    started_at          timestamptz,
    ended_at            timestamptz,
    primary key (broker_id, id),
    constraint task_steps_go_with_their_workflow
        foreign key (broker_id, parent_id) references porchlight.tasks on delete cascade,
    constraint task_state_known check (
        state in ('queued', 'running', 'cancelling', 'completed', 'failed', 'cancelled')),
    constraint task_workflows_stand_alone check (not is_workflow or parent_id is null),
    -- Whoever is at it holds a lease, and nobody else does.
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
) with (fillfactor = 50); -- Reports come all the time: leave room to update in place.

-- A retry of a request is not another task.
create unique index task_key_used_once on porchlight.tasks (broker_id, user_id, idempotency_key)
    where idempotency_key is not null;
-- A task is done again once; after that, its successor is.
create unique index task_retried_once on porchlight.tasks (broker_id, retry_of)
    where retry_of is not null;
-- Claims: of one broker, and of all of them.
create index tasks_queued on porchlight.tasks (broker_id, type, created_at)
    where state = 'queued' and not is_workflow;
create index tasks_queued_anywhere on porchlight.tasks (type, created_at)
    where state = 'queued' and not is_workflow;
-- The sweeper. No column that a report changes is in an index, so that reports stay cheap.
create index tasks_at_work on porchlight.tasks (broker_id, id)
    where state in ('running', 'cancelling');
create index tasks_resting on porchlight.tasks (run_after) where run_after is not null;
-- A workflow's children, and lists from new to old.
create index tasks_by_parent on porchlight.tasks (broker_id, parent_id) where parent_id is not null;
create index tasks_by_user on porchlight.tasks (broker_id, user_id, created_at desc, id desc);
create index tasks_by_team on porchlight.tasks (broker_id, team_id, created_at desc, id desc)
    where team_id is not null;
create index tasks_by_age on porchlight.tasks (broker_id, created_at desc, id desc);
-- Retention.
create index tasks_over on porchlight.tasks (ended_at) where ended_at is not null;

-- Only legal moves, whoever writes: what is over never changes again, so it has ended once, and
-- the event of its end, told in the same transaction, is the only one.
create function porchlight.check_task_move() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    is_claim boolean;
    is_legal boolean;
begin
    if tg_op = 'INSERT' then
        is_legal := new.state = 'queued' and new.attempt = 0;
    else
        is_claim := old.state = 'queued' and new.state = 'running' and not new.is_workflow;
        is_legal := new.attempt = old.attempt + is_claim::integer
            and (new.is_workflow or not old.is_workflow)
            and case old.state
                when 'queued' then new.state in ('queued', 'running', 'cancelled')
                    or new.is_workflow and new.state = 'failed'
                when 'running' then new.state in ('running', 'cancelling', 'completed', 'failed', 'cancelled')
                    or not new.is_workflow and new.state = 'queued'
                when 'cancelling' then new.state in ('cancelling', 'completed', 'failed', 'cancelled')
                else false
            end;
    end if;
    if not is_legal then
        raise exception 'a task does not go from % to %',
                case when tg_op = 'INSERT' then 'nothing' else old.state end, new.state
            using errcode = 'PLT01', constraint = 'task_moves_legally';
    end if;
    return new;
end
$$;

create trigger task_begins_queued before insert on porchlight.tasks
    for each row execute function porchlight.check_task_move();
-- Reports, which are many, do not pass the function.
create trigger task_moves_legally before update on porchlight.tasks
    for each row
    when (old.ended_at is not null or old.state <> new.state or old.attempt <> new.attempt
        or old.is_workflow <> new.is_workflow)
    execute function porchlight.check_task_move();

-- What a model has written so far: chunks without a gap, by attempt.
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
