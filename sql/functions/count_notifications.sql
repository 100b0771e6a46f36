-- revision: 1
-- Counts the notifications that people have posted and that are still stored.
create or replace function porchlight.count_notifications()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        perform porchlight.count_use('notifications', n.broker_id, n.posted_by, n.change)
        from (
            select broker_id, posted_by, count(*) as change
            from new_rows where posted_by is not null group by 1, 2 order by 1, 2
        ) n;
    else
        perform porchlight.count_use('notifications', n.broker_id, n.posted_by, -n.change)
        from (
            select broker_id, posted_by, count(*) as change
            from old_rows where posted_by is not null group by 1, 2 order by 1, 2
        ) n;
    end if;
    return null;
end
$$;

create or replace trigger notifications_are_counted after insert on porchlight.notifications
    referencing new table as new_rows
    for each statement execute function porchlight.count_notifications();

create or replace trigger removed_notifications_are_counted after delete on porchlight.notifications
    referencing old table as old_rows
    for each statement execute function porchlight.count_notifications();
