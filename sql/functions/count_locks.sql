-- revision: 1
-- Counts locks that somebody holds. One that has expired counts until it is ended.
create or replace function porchlight.count_locks()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op <> 'INSERT' and old.user_id is not null then
        perform porchlight.count_use('locks', old.broker_id, old.user_id, -1);
    end if;
    if tg_op <> 'DELETE' and new.user_id is not null then
        perform porchlight.count_use('locks', new.broker_id, new.user_id, 1);
    end if;
    return null;
end
$$;

create or replace trigger new_locks_are_counted after insert on porchlight.locks
    for each row when (new.user_id is not null)
    execute function porchlight.count_locks();

create or replace trigger locks_are_counted after update on porchlight.locks
    for each row when (old.user_id is distinct from new.user_id)
    execute function porchlight.count_locks();

create or replace trigger removed_locks_are_counted after delete on porchlight.locks
    for each row when (old.user_id is not null)
    execute function porchlight.count_locks();

-- What is there already. Nobody else writes to the table now, because it has just got triggers.
delete from porchlight.quota_use where kind = 'locks';
insert into porchlight.quota_use (broker_id, kind, user_id, used)
select broker_id, 'locks', '', count(*) from porchlight.locks where user_id is not null group by broker_id
union all
select broker_id, 'locks', user_id, count(*) from porchlight.locks
where user_id is not null group by broker_id, user_id;
