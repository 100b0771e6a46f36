-- revision: 1
-- Counts open tasks. Those of services count for their brokerage only.
create or replace function porchlight.count_tasks()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        perform porchlight.count_use('tasks', new.broker_id,
            case when new.asked_as = 'person' then new.user_id end, -1);
    elsif tg_op = 'INSERT' then
        perform porchlight.count_use('tasks', n.broker_id, n.holder, n.change)
        from (
            select broker_id, case when asked_as = 'person' then user_id end as holder,
                count(*) as change
            from new_rows where ended_at is null group by 1, 2 order by 1, 2
        ) n;
    else
        perform porchlight.count_use('tasks', n.broker_id, n.holder, -n.change)
        from (
            select broker_id, case when asked_as = 'person' then user_id end as holder,
                count(*) as change
            from old_rows where ended_at is null group by 1, 2 order by 1, 2
        ) n;
    end if;
    return null;
end
$$;

create or replace trigger tasks_are_counted after insert on porchlight.tasks
    referencing new table as new_rows
    for each statement execute function porchlight.count_tasks();

-- Not for each statement: progress reports update tasks all the time.
create or replace trigger tasks_that_end_are_counted after update on porchlight.tasks
    for each row when (old.ended_at is null and new.ended_at is not null)
    execute function porchlight.count_tasks();

create or replace trigger removed_tasks_are_counted after delete on porchlight.tasks
    referencing old table as old_rows
    for each statement execute function porchlight.count_tasks();

-- What is there already. Nobody else writes to the table now, because it has just got triggers.
delete from porchlight.quota_use where kind = 'tasks';
insert into porchlight.quota_use (broker_id, kind, user_id, used)
select broker_id, 'tasks', '', count(*) from porchlight.tasks where ended_at is null group by broker_id
union all
select broker_id, 'tasks', user_id, count(*) from porchlight.tasks
where ended_at is null and asked_as = 'person' group by broker_id, user_id;
