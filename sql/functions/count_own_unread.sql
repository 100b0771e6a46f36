-- revision: 1
-- Counts the unread notifications that are for one user alone, for their brokerage. Every change of them has
-- locked the row of the brokerage in `notification_books` before.
create or replace function porchlight.count_own_unread()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_table_name = 'notification_marks' then
        perform porchlight.count_use('unread', new.broker_id, null, -count(*))
        from porchlight.notifications n
        where n.broker_id = new.broker_id and n.audience = 'user:' || new.user_id
            and n.id > old.read_up_to and n.id <= new.read_up_to
            and not exists (
                select from porchlight.notification_reads r
                where r.broker_id = n.broker_id and r.user_id = new.user_id and r.id = n.id)
        having count(*) > 0;
    elsif tg_table_name = 'notification_reads' and tg_op = 'INSERT' then
        perform porchlight.count_use('unread', new.broker_id, null, -1);
    elsif tg_table_name = 'notification_reads' then
        -- Their notifications are deleted, and have counted below as if nobody had read them. No limit refuses this.
        update porchlight.quota_use q set used = q.used + o.change
        from (
            select d.broker_id, count(*) as change
            from old_rows d
            left join porchlight.notification_marks m using (broker_id, user_id)
            where d.is_own and d.id > coalesce(m.read_up_to, 0)
            group by 1
        ) o
        where q.broker_id = o.broker_id and q.kind = 'unread' and q.user_id = '';
    elsif tg_op = 'INSERT' then
        perform porchlight.count_use('unread', n.broker_id, null, n.change)
        from (
            select broker_id, count(*) as change
            from new_rows where audience like 'user:%' group by 1 order by 1
        ) n;
    else
        -- It may be too much for a moment: this comes before the marks are removed.
        update porchlight.quota_use q set used = q.used - o.change
        from (
            select d.broker_id, count(*) as change
            from old_rows d
            left join porchlight.notification_marks m
                on m.broker_id = d.broker_id and m.user_id = substr(d.audience, length('user:') + 1)
            where d.audience like 'user:%' and d.id > coalesce(m.read_up_to, 0)
            group by 1
        ) o
        where q.broker_id = o.broker_id and q.kind = 'unread' and q.user_id = '';
    end if;
    return null;
end
$$;

-- After `notifications_are_counted`, by its name: two requests count in the same order.
create or replace trigger own_notifications_are_counted after insert on porchlight.notifications
    referencing new table as new_rows
    for each statement execute function porchlight.count_own_unread();

create or replace trigger removed_own_notifications_are_counted after delete on porchlight.notifications
    referencing old table as old_rows
    for each statement execute function porchlight.count_own_unread();

create or replace trigger read_notifications_are_counted after insert on porchlight.notification_reads
    for each row when (new.is_own)
    execute function porchlight.count_own_unread();

create or replace trigger removed_reads_are_counted after delete on porchlight.notification_reads
    referencing old table as old_rows
    for each statement execute function porchlight.count_own_unread();

create or replace trigger marks_are_counted after update on porchlight.notification_marks
    for each row when (new.read_up_to > old.read_up_to)
    execute function porchlight.count_own_unread();

-- What is there already. Nobody else writes to the tables now, because they have just got triggers.
delete from porchlight.quota_use where kind = 'unread';
insert into porchlight.quota_use (broker_id, kind, user_id, used)
select n.broker_id, 'unread', '', count(*)
from porchlight.notifications n
left join porchlight.notification_marks m
    on m.broker_id = n.broker_id and m.user_id = substr(n.audience, length('user:') + 1)
where n.audience like 'user:%' and n.id > coalesce(m.read_up_to, 0)
    and not exists (
        select from porchlight.notification_reads r
        where r.broker_id = n.broker_id and r.id = n.id and r.is_own)
group by 1;
