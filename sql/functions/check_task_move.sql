-- revision: 2
-- Allows only legal changes of a task's state, whoever writes. A task that has ended never changes again.
-- So it ends once, and the event of its end, in the same transaction, is the only one.
create or replace function porchlight.check_task_move() returns trigger
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
        is_legal := new.attempt - new.skipped_attempts
                = old.attempt - old.skipped_attempts + is_claim::integer
            and new.skipped_attempts >= old.skipped_attempts
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

create or replace trigger task_begins_queued before insert on porchlight.tasks
    for each row execute function porchlight.check_task_move();

create or replace trigger task_moves_legally before update on porchlight.tasks
    for each row
    when (old.ended_at is not null or old.state <> new.state or old.attempt <> new.attempt
        or old.is_workflow <> new.is_workflow)
    execute function porchlight.check_task_move();
