-- revision: 1
-- Counts stored uploads.
create or replace function porchlight.count_uploads()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        perform porchlight.count_use('uploads', new.broker_id, new.user_id, 1);
    else
        perform porchlight.count_use('uploads', n.broker_id, n.user_id, -n.change)
        from (
            select broker_id, user_id, count(*) as change from old_rows group by 1, 2 order by 1, 2
        ) n;
    end if;
    return null;
end
$$;

create or replace trigger uploads_are_counted after insert on porchlight.uploads
    for each row execute function porchlight.count_uploads();

create or replace trigger removed_uploads_are_counted after delete on porchlight.uploads
    referencing old table as old_rows
    for each statement execute function porchlight.count_uploads();

-- What is there already. Nobody else writes to the table now, because it has just got triggers.
delete from porchlight.quota_use where kind = 'uploads';
insert into porchlight.quota_use (broker_id, kind, user_id, used)
select broker_id, 'uploads', '', count(*) from porchlight.uploads group by broker_id
union all
select broker_id, 'uploads', user_id, count(*) from porchlight.uploads group by broker_id, user_id;
