-- revision: 1
-- Counts the idempotency keys of people. A key counts when its answer is stored, at the end of the
-- transaction, so that others of the brokerage wait only for its commit.
create or replace function porchlight.count_keys()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        perform porchlight.count_use('keys', new.broker_id, new.user_id,
            case when new.answer is null then -1 else 1 end);
    else
        perform porchlight.count_use('keys', n.broker_id, n.user_id, -n.change)
        from (
            select broker_id, user_id, count(*) as change
            from old_rows where principal = 'person' and answer is not null
            group by 1, 2 order by 1, 2
        ) n;
    end if;
    return null;
end
$$;

create or replace trigger keys_are_counted after update on porchlight.idempotency_keys
    for each row
    when (new.principal = 'person' and (old.answer is null) <> (new.answer is null))
    execute function porchlight.count_keys();

create or replace trigger removed_keys_are_counted after delete on porchlight.idempotency_keys
    referencing old table as old_rows
    for each statement execute function porchlight.count_keys();

-- What is there already. Nobody else writes to the table now, because it has just got triggers.
delete from porchlight.quota_use where kind = 'keys';
insert into porchlight.quota_use (broker_id, kind, user_id, used)
select broker_id, 'keys', '', count(*) from porchlight.idempotency_keys
where principal = 'person' and answer is not null group by broker_id
union all
select broker_id, 'keys', user_id, count(*) from porchlight.idempotency_keys
where principal = 'person' and answer is not null group by broker_id, user_id;
