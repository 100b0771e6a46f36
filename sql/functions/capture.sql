-- revision: 5
-- The trigger on watched tables: writes to the outbox what a statement did. An error does not fail the
-- statement; it is recorded in the outbox. Changes that could not be recorded are counted, for example without space or when the
-- outbox was locked for too long, and clients get a reset later (`reset_after_loss`). `SET LOCAL porchlight.must_capture = on`, as in writes of our own, makes a
-- statement fail that would be lost. A statement on more than 1,000 rows copies them to the staging table
-- of the watch instead, and the relay describes them later.
create or replace function porchlight.capture()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    -- The usual forms of JSON, whatever the settings of the session are.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
    set jit = off
as $$
declare
    actor     constant text := nullif(current_setting('porchlight.user_id', true), '');
    rows      bigint;
    watch     porchlight.watches;
    statement text;
    staging   porchlight.bulk_staging;
    bulk      bigint;
    failure   text;
    -- There is no event, and the change cannot be described later.
    is_lost   boolean;
    is_needed constant boolean := current_setting('porchlight.must_capture', true) = 'on';
    -- Tables that triggers wrote to in this transaction, with the depths of these triggers.
    nested    text[];
begin
    if tg_op = 'DELETE' then
        select count(*) into rows from (select from old_rows limit 1001) few;
    else
        select count(*) into rows from (select from new_rows limit 1001) few;
    end if;
    if rows = 0 then
        return null;
    end if;
    -- A subtransaction: an error in it undoes only what was captured.
    begin
        select * into watch from porchlight.watches w where w.watched = tg_relid;
        if watch.watched is null then
            return null;
        end if;
        nested := string_to_array(nullif(current_setting('porchlight.nested', true), ''), ' ');
        -- A trigger may have written to these rows again. That change was captured first, so this
        -- one must describe the rows as they are now.
        if tg_op <> 'DELETE' and exists (
                select from unnest(nested) as e(entry)
                where split_part(entry, ':', 1) = tg_relid::text
                    and split_part(entry, ':', 2)::integer > pg_trigger_depth())
                and has_table_privilege(tg_relid, 'select') and not row_security_active(tg_relid) then
            statement := porchlight.capture_statement(watch, tg_op, as_now => true);
        elsif watch.made_of is distinct from porchlight.made_of(tg_relid) then
            statement := porchlight.capture_statement(watch, tg_op);
        else
            statement := watch.statements ->> tg_op;
            if rows > 1000 then
                select * into staging from porchlight.bulk_staging s where s.watched = tg_relid;
            end if;
        end if;
        if staging.staging_table is not null then
            begin
                insert into porchlight.outbox (module, user_id, operation, staging_table)
                values (watch.module, actor, tg_op, staging.staging_table) returning id into bulk;
                if tg_op <> 'INSERT' then
                    execute format('insert into %s select $1, false, %s from old_rows',
                        staging.staging_table, staging.columns) using bulk;
                end if;
                if tg_op <> 'DELETE' then
                    execute format('insert into %s select $1, true, %s from new_rows',
                        staging.staging_table, staging.columns) using bulk;
                end if;
            exception when undefined_table or syntax_error or data_exception or datatype_mismatch then
                -- The table was watched anew and the staging table dropped in the meantime: the name of a table
                -- that is gone is a number. Or the staging table cannot have these values.
                staging := null;
            end;
        end if;
        if staging.staging_table is null then
            execute 'insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id,
                version, data, changes, private, owner_id, previous, is_new_owner, is_truncated) '
                || statement using actor;
        end if;
        if pg_trigger_depth() > 1 then
            perform set_config('porchlight.nested', array_to_string(array(
                select unnest(nested) union select format('%s:%s', tg_relid, pg_trigger_depth())), ' '), true);
        end if;
    exception when others then
        is_lost := sqlstate like '53%';
        if is_lost and is_needed then
            raise;
        end if;
        failure := format('%s of %s could not be captured: %s (%s)', tg_op, tg_relid::regclass,
            sqlerrm, sqlstate);
        begin
            insert into porchlight.outbox (module, failure) values (watch.module, failure);
        exception when others then
            if is_needed then
                raise;
            end if;
            is_lost := true;
            -- The error text may contain values, and clients and logs see the warning.
            raise warning 'porchlight: % of % could not be captured (%)', tg_op, tg_relid::regclass, sqlstate;
        end;
        if is_lost then
            begin
                -- Neither needs space. The lock tells when the transaction has ended.
                perform pg_advisory_xact_lock_shared(123623962798084);
                perform nextval('porchlight.lost_changes');
            exception when others then
                raise warning 'porchlight: a lost change could not be counted (%)', sqlstate;
            end;
        end if;
    end;
    return null;
end
$$;

revoke execute on function porchlight.capture() from public;
