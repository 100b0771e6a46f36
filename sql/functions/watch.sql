-- revision: 4
-- Watches a table: its changes become events from now on. Called again, it replaces the configuration.
-- Two kinds of changes are not captured: writes to a partition by its own name, and TRUNCATE, which does not
-- say what it removes.
--
-- A configuration that cannot work fails here, not when somebody writes. Writers wait as for any
-- `create trigger`, for two seconds at most. The caller needs the right to create triggers on the table
-- and to write in this schema; users who write to the table need no rights here.
create or replace function porchlight.watch(
        watched regclass, module text, id_column name default 'id',
        broker_column name default null, team_column name default null,
        owner_column name default null, version_column name default null,
        archived_column name default null, actor_column name default null,
        private_columns text[] default '{}', hidden_columns text[] default '{}',
        singular text default null, camel_case boolean default true, broker text default null)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
as $$
declare
    other record;
begin
    if module is null or module !~ '^[A-Za-z0-9_.:-]{1,64}$' then
        raise exception 'module must be 1 to 64 characters from A-Z a-z 0-9 _ - . :, like listings';
    end if;
    singular := coalesce(singular, regexp_replace(module, 's$', ''));
    if singular !~ '^[A-Za-z0-9_.-]{1,32}$' then
        raise exception 'singular must be 1 to 32 characters from A-Z a-z 0-9 _ - ., not %', singular;
    end if;
    if singular in ('stream', 'presence', 'locks') then
        raise exception 'types like %:created are reserved for streams themselves', singular
            using hint = 'Name another singular.';
    end if;
    if (broker is null) = (broker_column is null) then
        raise exception 'whose records are they? Name broker_column, or broker where all are of one';
    end if;
    if broker !~ '^[A-Za-z0-9_.:-]{1,64}$' then
        raise exception 'broker must be 1 to 64 characters from A-Z a-z 0-9 _ - . :';
    end if;
    perform porchlight.refuse_table(watched);

    -- Concurrent calls for the same table wait for each other.
    perform pg_advisory_xact_lock(hashtextextended('porchlight.watch ' || watched::oid, 0));
    delete from porchlight.watches w
    where w.watched = watch.watched or not exists (select from pg_class c where c.oid = w.watched);
    insert into porchlight.watches (watched, module, singular, broker, is_id_per_broker, camel_case)
    values (watched, module, singular, broker, false, coalesce(camel_case, true));
    insert into porchlight.watched_columns (watched, role, name, attnum)
    select watch.watched, r.role, r.name, porchlight.column_number(watch.watched, r.name)
    from (
        values ('id', coalesce(id_column, 'id')), ('broker', broker_column), ('team', team_column),
            ('owner', owner_column), ('version', version_column), ('archived', archived_column),
            ('actor', actor_column)
        union select 'private', unnest(private_columns)::name
        union select 'hidden', unnest(hidden_columns)::name
    ) r (role, name)
    where r.name is not null;
    perform porchlight.refuse_columns(watched);
    if porchlight.is_id_per_broker(watched) is null then
        raise exception 'the id column of % must be unique, by itself or together with the broker''s',
            watched using hint = 'Add a primary key or a unique constraint.';
    end if;
    update porchlight.watches w
    set is_id_per_broker = porchlight.is_id_per_broker(watch.watched)
    where w.watched = watch.watched;
    update porchlight.watches w
    set made_of = porchlight.made_of(watch.watched),
        statements = jsonb_build_object('made_of', porchlight.made_of(watch.watched)) || (
            select jsonb_object_agg(operation, porchlight.capture_statement(w, operation))
            from unnest('{INSERT,UPDATE,DELETE}'::text[]) as o(operation))
    where w.watched = watch.watched;

    execute format('create or replace trigger porchlight_insert after insert on %s
        referencing new table as new_rows
        for each statement execute function porchlight.capture()', watched);
    execute format('create or replace trigger porchlight_update after update on %s
        referencing old table as old_rows new table as new_rows
        for each statement execute function porchlight.capture()', watched);
    execute format('create or replace trigger porchlight_delete after delete on %s
        referencing old table as old_rows
        for each statement execute function porchlight.capture()', watched);

    -- A table and its partition may both be watched: each row is published once.
    for other in
        select w.watched as name, t.module is not null as is_builtin
        from porchlight.watches w
        left join porchlight.record_tables t on t.records = w.watched
        where w.module = watch.module and w.watched <> watch.watched
            and not exists (
                select from pg_inherits i
                where (i.inhrelid, i.inhparent) in ((w.watched, watch.watched), (watch.watched, w.watched)))
    loop
        raise warning 'changes of % and of % are both published as %', watched, other.name, module
            using hint = case when other.is_builtin
                then format('Write to one of them only. Requests to /records/%s use %s; a CRM that has its own '
                    'tables does not need them, and then there is nothing to do.', module, other.name)
                else 'Their events have the same types, and records of both can have the same id. Unwatch one of '
                    'them with porchlight.unwatch, or name another module.'
            end;
    end loop;
end
$$;
