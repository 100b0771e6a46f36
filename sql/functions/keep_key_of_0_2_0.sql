-- revision: 1
-- For instances of release 0.2.0 that run beside newer ones during an upgrade: they keep the keys of tasks in
-- `tasks`, and the id of a notification in `first_position`. A repeat at a newer instance must find the answer.
create or replace function porchlight.keep_key_of_0_2_0() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_table_name = 'tasks' then
        insert into porchlight.idempotency_keys
            (broker_id, principal, user_id, operation, key, body_hash, answer, created_at)
        values (new.broker_id, new.asked_as, new.user_id, 'POST /tasks', new.idempotency_key, new.body_hash,
            to_json(new.id), new.created_at)
        on conflict do nothing;
        return null;
    end if;
    new.answer := to_json(new.first_position);
    return new;
end
$$;

create or replace trigger key_of_task_of_0_2_0 after insert or update of idempotency_key on porchlight.tasks
    for each row when (new.idempotency_key is not null)
    execute function porchlight.keep_key_of_0_2_0();

create or replace trigger key_of_notification_of_0_2_0 before update on porchlight.idempotency_keys
    for each row
    when (new.operation = 'POST /notifications' and new.first_position > 0 and new.answer is null)
    execute function porchlight.keep_key_of_0_2_0();
