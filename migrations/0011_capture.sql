-- Capture, as it tells whose a record is by now and what was there before; that leaves what a
-- statement did to many rows to the relay; and that meets tables with a hundred columns and more,
-- with triggers that write to the same rows, or that come from a dump.

alter type porchlight.capture_parts
    add attribute old_owner    text,
    add attribute is_new_owner text,
    -- An object of what was there before, for what differs and is not private.
    add attribute previous     text;

alter table porchlight.outbox
    -- The place among the rows of one bundle.
    add column line      int not null default 0,
    -- A bundle: what this operation did lies in this room.
    add column operation text,
    add column room      regclass,
    drop constraint outbox_pkey,
    add primary key (id, line);
create index bundles on porchlight.outbox (id) where operation is not null;
-- To give back space that it needs again at once, vacuum would take a lock that writers wait for.
alter table porchlight.outbox set (vacuum_truncate = off);

-- The outbox may count anew, after a restore or by hand: what was set aside stays, and stops nothing.
alter table porchlight.poison drop constraint poison_pkey;
create index poison_newest on porchlight.poison (id);

-- What a domain is made of.
create function porchlight.base_type(type oid)
    returns oid
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive bases as (
        select base_type.type as oid
        union all
        select t.typbasetype from bases b join pg_type t on t.oid = b.oid where t.typtype = 'd'
    )
    select b.oid from bases b join pg_type t on t.oid = b.oid where t.typtype <> 'd'
$$;

-- Whether columns have the numbers that they had when the table was watched. In one that was
-- restored from a dump they need not: columns that had been dropped are not counted any more.
create function porchlight.are_numbers_known(watch porchlight.watches)
    returns boolean
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(split_part(watch.made_of, ':', 1) = watch.watched::oid::text, true)
$$;

-- The columns of a watched table as they are now, and what they mean.
create or replace function porchlight.columns_of(watched regclass)
    returns table (attnum smallint, name name, type oid, roles text[])
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select a.attnum, a.attname, porchlight.base_type(a.atttypid), array(
        select c.role from porchlight.watched_columns c
        where c.watched = columns_of.watched and (c.name = a.attname
            or c.attnum = a.attnum and porchlight.are_numbers_known(w)
                and (c.role in ('private', 'hidden') or not exists (
                select from pg_attribute o
                where o.attrelid = a.attrelid and o.attname = c.name and not o.attisdropped))))
    from pg_attribute a left join porchlight.watches w on w.watched = a.attrelid
    where a.attrelid = columns_of.watched and a.attnum > 0 and not a.attisdropped
        -- What is computed when it is read, a trigger does not see.
        and a.attgenerated <> 'v'
$$;

create or replace function porchlight.capture_parts(watch porchlight.watches)
    returns porchlight.capture_parts
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with known as (
        select c.*, quote_ident(c.name) as quoted, not 'hidden' = any (roles) as is_told,
            case when watch.camel_case then porchlight.camel_case(c.name) else c.name end as wished
        from porchlight.columns_of(watch.watched) c
    ), named as (
        -- Two columns never share a name: neither would be what it says.
        select *, to_json(case when count(*) over (partition by wished) > 1 then name
            else wished end)::text || ':' as key
        from known
    ), written as (
        select *,
            case
                when type = any ('{boolean,smallint,integer,bigint}'::regtype[]) then '%s.%s::text'
                when type = any ('{timestamptz,timestamptz[]}'::regtype[])
                    then 'replace(to_json(%s.%s)::text, ''+00:00"'', ''Z"'')'
                else 'to_json(%s.%s)::text'
            end as value,
            -- Types whose equality is that of what is told; of all others the text is compared,
            -- unless they are the same to the byte, which costs less to see.
            format(case
                when type = any ('{boolean,smallint,integer,bigint,numeric,real,float8,uuid,bytea,
                    date,time,timestamp,timestamptz,jsonb}'::regtype[])
                    then 'o.%1$s is distinct from n.%1$s'
                when type = any ('{text,varchar,bpchar,name}'::regtype[])
                    then 'o.%1$s::text collate "C" is distinct from n.%1$s::text collate "C"'
                else 'record_image_ne(row(o.%1$s), row(n.%1$s))
                    and o.%1$s::text collate "C" is distinct from n.%1$s::text collate "C"'
            end, quoted) as differs,
            case when type = 'boolean'::regtype then 'coalesce(%s.%s, false)'
                else '(%s.%s is not null)' end as is_set
        from named
    ), said as (
        select *, format('%L || coalesce(%s, ''null'')', key, format(value, 'n', quoted)) as plainly,
            format('%L || coalesce(%s, ''null'')', key, format(value, 'o', quoted)) as before,
            case when 'private' = any (roles) then quote_literal(key || '"[REDACTED]"') end as redacted,
            -- Whoever gets a record sees what they did not, and whoever gives it away no more.
            case when 'private' = any (roles)
                then concat_ws(' or ', differs, max(differs) filter (where 'owner' = any (roles)) over ())
                else differs end as looks_different
        from written
    ), found as (
        select max(quoted) filter (where 'id' = any (roles)) as id,
            max(quoted) filter (where 'broker' = any (roles)) as broker,
            max(quoted) filter (where 'team' = any (roles)) as team,
            max(quoted) filter (where 'owner' = any (roles)) as owner,
            max(quoted) filter (where 'version' = any (roles)) as version,
            max(quoted) filter (where 'actor' = any (roles)) as actor,
            max(format(is_set, 'n', quoted)) filter (where 'archived' = any (roles)) as is_archived,
            max(format(is_set, 'o', quoted)) filter (where 'archived' = any (roles)) as was_archived,
            string_agg(differs, ' or ') filter (where roles && '{broker,team}') as is_moved,
            max(differs) filter (where 'owner' = any (roles)) as is_new_owner,
            max(differs) filter (where 'broker' = any (roles)) as is_new_broker,
            string_agg(coalesce(redacted, plainly), ', ' order by attnum)
                filter (where is_told) as record,
            string_agg(plainly, ', ' order by attnum)
                filter (where is_told and redacted is not null) as secrets,
            string_agg(format('case when %s then %s end', looks_different, coalesce(redacted, plainly)),
                ', ' order by attnum) filter (where is_told) as changes,
            string_agg(format('case when %s then %s end', looks_different, plainly), ', ' order by attnum)
                filter (where is_told and redacted is not null) as new_secrets,
            string_agg(format('case when %s then %s end', differs, before), ', ' order by attnum)
                filter (where is_told and redacted is null) as previous
        from said
    ), words as (
        -- A function takes a hundred arguments at the most; an array, which costs more, any.
        select case when count(*) <= 99 then '''{'' || concat_ws('','', %s) || ''}'''
            else '''{'' || array_to_string(array[%s]::text[], '','') || ''}''' end as object
        from said
    )
    select (select min(c.role) from porchlight.watched_columns c
            where c.watched = watch.watched and (c.role = 'id' and f.id is null
                or c.role = 'broker' and f.broker is null or c.role = 'team' and f.team is null
                -- Under which name it is private by now, nobody knows.
                or c.role in ('private', 'hidden') and not porchlight.are_numbers_known(watch)
                    and not exists (select from known k where k.name = c.name))),
        -- A record without a name cannot be told of, and is set aside.
        'coalesce(n.' || id || '::text, '''')',
        'coalesce(o.' || id || '::text, '''')',
        format('o.%1$s = n.%1$s', id)
            || case when watch.is_id_per_broker then format(' and o.%1$s = n.%1$s', broker) else '' end,
        coalesce('n.' || broker || '::text', quote_literal(watch.broker)),
        coalesce('o.' || broker || '::text', quote_literal(watch.broker)),
        coalesce('coalesce(''team:'' || n.' || team || '::text, ''broker'')', '''broker'''),
        coalesce('coalesce(''team:'' || o.' || team || '::text, ''broker'')', '''broker'''),
        coalesce(is_moved, 'false'),
        coalesce(is_archived, 'false'),
        coalesce(was_archived, 'false'),
        coalesce('n.' || owner || '::text', 'null'),
        coalesce('n.' || version || '::bigint', 'null::bigint'),
        coalesce('coalesce($1, n.' || actor || '::text)', '$1'),
        format(object, coalesce(record, 'null')),
        case when secrets is null then 'null' else format(object, secrets) end,
        format(object, coalesce(changes, 'null')),
        case when secrets is null then 'null' else format(object, new_secrets) end,
        coalesce('o.' || owner || '::text', 'null'),
        -- In a log that it left and comes back to, it may be known as another's.
        coalesce(nullif(concat_ws(' or ', is_new_owner, case when owner is not null then is_new_broker end), ''),
            'false'),
        case when previous is null then 'null' else format(object, previous) end
    from found f, words
$$;

drop function porchlight.capture_statement(porchlight.watches, text);

-- The one query that says what a statement did to a watched table, in the columns of the outbox. It is
-- made of the columns as they are, and anew when they have changed, so that no change of the schema makes
-- it wrong; it is planned each time, for as many rows as there are. `$1` is who did it, where the transaction says so.
create function porchlight.capture_statement(watch porchlight.watches, operation text,
        as_now boolean default false)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    p    constant porchlight.capture_parts := porchlight.capture_parts(watch);
    -- The rows as they were written, or `as_now` as they are.
    news constant text := case when as_now
        then format('(select n.* from new_rows o join %s n on %s)', watch.watched, p.is_same)
        else 'new_rows' end;
    rows text;
begin
    if p.gone is not null then
        raise exception 'its % column is gone', p.gone using hint = 'Call porchlight.watch again.';
    end if;
    if operation = 'INSERT' then
        rows := format($sql$
            select 'created' as action, %s as broker, %s as audience, %s as id, %s as version,
                %s as actor, %s as data, null as changes, %s as private, %s as owner,
                null as previous, false as is_new_owner
            from %s n$sql$,
            p.broker, p.audience, p.id, p.version, p.actor, p.record, p.secrets, p.owner, news);
    elsif operation = 'DELETE' then
        -- Whoever wrote the row last is not who deletes it; whose it was last it stays.
        rows := format($sql$
            select 'deleted' as action, %s as broker, %s as audience, %s as id, %s as version,
                $1 as actor, null as data, null as changes, null as private, %s as owner,
                null as previous, false as is_new_owner
            from old_rows n$sql$,
            p.broker, p.audience, p.id, p.version, p.owner);
    else
        -- A row whose id changes is another record. One that moves is told twice: first to
        -- those who lose it, then to those who get it.
        rows := format($sql$
            select case side when 'loser' then 'deleted' when 'winner' then 'created'
                    else action end as action,
                case side when 'loser' then old_broker else broker end as broker,
                case side when 'loser' then old_audience else audience end as audience,
                id, version, actor,
                case side when 'loser' then '{"reason":"moved"}' else data end as data,
                case when side is null then nullif(changes, '{}') end as changes,
                case when side is distinct from 'loser' then nullif(private, '{}') end as private,
                case side when 'loser' then old_owner else owner end as owner,
                case when side is null then nullif(previous, '{}') end as previous,
                side is distinct from 'loser' and is_new_owner as is_new_owner
            from (
                select
                    case
                        when n.porchlight_is is null then 'deleted'
                        when o.porchlight_was is null then 'created'
                        when %1$s then 'moved'
                        when %2$s and not %3$s then 'archived'
                        when %3$s and not %2$s then 'restored'
                        else 'updated'
                    end as action,
                    case when n.porchlight_is then %4$s else %5$s end as broker,
                    case when n.porchlight_is then %6$s else %7$s end as audience,
                    case when n.porchlight_is then %8$s else %9$s end as id,
                    case when %1$s then %5$s end as old_broker,
                    case when %1$s then %7$s end as old_audience,
                    %10$s as version, %11$s as actor,
                    case when n.porchlight_is then %12$s else %18$s end as owner,
                    case when %1$s then %18$s end as old_owner,
                    case when n.porchlight_is and (o.porchlight_was is null or %1$s) then %13$s end
                        as data,
                    case when n.porchlight_is and o.porchlight_was then %14$s end as changes,
                    case when n.porchlight_is and (o.porchlight_was is null or %1$s) then %15$s
                        when n.porchlight_is then %16$s end as private,
                    case when n.porchlight_is and o.porchlight_was then %19$s end as previous,
                    n.porchlight_is and o.porchlight_was and (%20$s) is true as is_new_owner
                from (select *, true as porchlight_was from old_rows) o
                full join (select *, true as porchlight_is from %21$s r) n on %17$s
                offset 0
            ) c cross join lateral (
                select case when action = 'moved' then s end as side
                from (values ('loser'), ('winner')) as s (s)
                where action = 'moved' or s = 'winner'
            ) t
            -- That it has another owner is told even where nobody is told who.
            where action <> 'updated' or changes <> '{}' or is_new_owner$sql$,
            p.is_moved, p.is_archived, p.was_archived, p.broker, p.old_broker, p.audience,
            p.old_audience, p.id, p.old_id, p.version, p.actor, p.owner, p.record, p.changes,
            p.secrets, p.new_secrets, p.is_same, p.old_owner, p.previous, p.is_new_owner, news);
    end if;
    return format($sql$
        select broker as broker_id, audience, %L || action as type, %L as module, id as record_id,
            actor as user_id, version, case when fits then data end as data,
            case when fits then changes end as changes, case when fits then private end as private,
            owner as owner_id,
            -- What is longer than a sentence can say is nobody's news.
            case when octet_length(previous) <= 4096 then previous end as previous,
            coalesce(is_new_owner, false) as is_new_owner, not fits as is_truncated
        from (
            -- As `--event-bytes`.
            select *, coalesce(octet_length(data), 0) + coalesce(octet_length(changes), 0)
                + coalesce(octet_length(private), 0) <= 65536 as fits
            from (%s offset 0) r
            offset 0
        ) r$sql$, watch.singular || ':', watch.module, rows);
end
$$;

-- What the statements of a watched table are made of: which table it is, and its columns.
create or replace function porchlight.made_of(watched regclass)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return watched::oid || ':' || md5(
        string_agg(format('%s %s %s', a.attnum, a.atttypid, a.attname), ',' order by a.attnum))
    from pg_attribute a where a.attrelid = watched and a.attnum > 0 and not a.attisdropped;
end
$$;

-- Where the rows of a watched table wait. A room is left when its table is watched anew, and goes when
-- nothing in it waits.
create table porchlight.rooms (
    room    regclass primary key,
    watched regclass references porchlight.watches on delete set null,
    columns text not null,
    -- Those of the watch when the room was made: what waits is told as it was watched then.
    queries jsonb not null
);
create unique index one_room on porchlight.rooms (watched);
create sequence porchlight.room_numbers;

-- The oldest bundle. Looked for often, like whatever else waits.
create function porchlight.first_bundle()
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
begin
    return (select id from porchlight.outbox where operation is not null order by id limit 1);
end
$$;

-- Drops rooms that were left, unless somebody is in them.
create function porchlight.drop_rooms()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    left_one regclass;
begin
    for left_one in select r.room from porchlight.rooms r where r.watched is null loop
        begin
            execute format('lock table %s in access exclusive mode nowait', left_one);
            if not exists (select from porchlight.outbox o where o.room = left_one) then
                execute format('drop table %s', left_one);
                delete from porchlight.rooms r where r.room = left_one;
            end if;
        exception when lock_not_available then
            null;
        end;
    end loop;
end
$$;

-- A table that is watched gets a room; not one with a column of somebody's own type, which nobody
-- could drop then.
create function porchlight.make_room()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    name     constant text := 'porchlight.room_' || nextval('porchlight.room_numbers');
    is_plain boolean;
    names    text;
    columns  text;
begin
    update porchlight.rooms r set watched = null where r.watched = new.watched;
    perform porchlight.drop_rooms();
    select bool_and(t.typtype = 'e' or t.typnamespace = 'pg_catalog'::regnamespace) and count(*) < 1500,
        string_agg(quote_ident(c.name), ', ' order by c.attnum),
        string_agg(quote_ident(c.name) || ' '
            || case when t.typtype = 'e' then 'text' else format_type(t.oid, -1) end, ', ' order by c.attnum)
    into is_plain, names, columns
    from porchlight.columns_of(new.watched) c join pg_type t on t.oid = c.type
    where c.roles <> '{hidden}';
    if is_plain then
        execute format('create table %s (porchlight_bundle bigint, porchlight_is_new boolean, %s)',
            name, columns);
        insert into porchlight.rooms values (name, new.watched, names, new.statements);
    end if;
    return null;
end
$$;
revoke execute on function porchlight.make_room() from public;

create trigger make_room after update of statements on porchlight.watches
    for each row when (new.statements is distinct from old.statements)
    execute function porchlight.make_room();

-- Tells what a statement did to a watched table. Whatever goes wrong, the statement goes on.
create or replace function porchlight.capture()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    -- As JSON is expected, whatever the session prefers.
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
    room      porchlight.rooms;
    bundle    bigint;
    failure   text;
    -- Tables that triggers wrote to in this transaction, and how deep these stood in one another.
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
    -- A subtransaction: an error in it undoes no more than what it told.
    begin
        select * into watch from porchlight.watches w where w.watched = tg_relid;
        if watch.watched is null then
            return null;
        end if;
        nested := string_to_array(nullif(current_setting('porchlight.nested', true), ''), ' ');
        -- A trigger may have written to these rows again, which was told first: what is told
        -- last must be how they are.
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
                select * into room from porchlight.rooms r where r.watched = tg_relid;
            end if;
        end if;
        if room.room is not null then
            begin
                insert into porchlight.outbox (module, user_id, operation, room)
                values (watch.module, actor, tg_op, room.room) returning id into bundle;
                if tg_op <> 'INSERT' then
                    execute format('insert into %s select $1, false, %s from old_rows',
                        room.room, room.columns) using bundle;
                end if;
                if tg_op <> 'DELETE' then
                    execute format('insert into %s select $1, true, %s from new_rows',
                        room.room, room.columns) using bundle;
                end if;
            exception when undefined_table then
                -- It was left and dropped since this transaction looked first.
                room := null;
            end;
        end if;
        if room.room is null then
            execute 'insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id,
                version, data, changes, private, owner_id, previous, is_new_owner, is_truncated) '
                || statement using actor;
        end if;
        if pg_trigger_depth() > 1 then
            perform set_config('porchlight.nested', array_to_string(array(
                select unnest(nested) union select format('%s:%s', tg_relid, pg_trigger_depth())), ' '), true);
        end if;
    exception when others then
        failure := format('%s of %s could not be told: %s (%s)', tg_op, tg_relid::regclass,
            sqlerrm, sqlstate);
        begin
            insert into porchlight.outbox (module, failure) values (watch.module, failure);
        exception when others then
            -- The words may hold values, and this is seen by clients and in logs.
            raise warning 'porchlight: % of % could not be told (%)', tg_op, tg_relid::regclass, sqlstate;
        end;
    end;
    return null;
end
$$;

-- Unpacks the oldest bundle: its rows stand in the outbox where it stood. Whether there was one.
create function porchlight.unpack()
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
    set jit = off
    -- A room has no index: all in it is read.
    set enable_seqscan = on
as $$
declare
    bundle porchlight.outbox;
    query  text;
begin
    delete from porchlight.outbox o where o.id = porchlight.first_bundle() and o.line = 0
    returning * into bundle;
    if bundle.id is null then
        return false;
    end if;
    select r.queries ->> bundle.operation into query from porchlight.rooms r where r.room = bundle.room;
    begin
        execute format($sql$
            with old_rows as (select * from %1$s where porchlight_bundle = $2 and not porchlight_is_new),
                new_rows as (select * from %1$s where porchlight_bundle = $2 and porchlight_is_new)
            insert into porchlight.outbox (id, line, broker_id, audience, type, module, record_id, user_id,
                version, data, changes, private, owner_id, previous, is_new_owner, is_truncated)
            overriding system value
            select $2, row_number() over (), told.* from (%2$s) told$sql$, bundle.room, query)
            using bundle.user_id, bundle.id;
    exception when others then
        insert into porchlight.outbox (id, line, module, failure) overriding system value
        values (bundle.id, 1, bundle.module,
            format('%s of many could not be told: %s (%s)', bundle.operation, sqlerrm, sqlstate));
    end;
    execute format('delete from %s where porchlight_bundle = $1', bundle.room) using bundle.id;
    return true;
end
$$;

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
    usual     constant jsonb := '{"escrows": "escrow", "listings": "listing", "clients": "client",
        "appointments": "appointment", "leads": "lead"}';
begin
    if module is null or module !~ '^[A-Za-z0-9_.:-]{1,64}$' then
        raise exception 'module must be 1 to 64 characters from A-Z a-z 0-9 _ - . :, like listings';
    end if;
    singular := coalesce(singular, usual ->> module, regexp_replace(module, 's$', ''));
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

    -- Who watches the same table at the same time takes turns.
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
    update porchlight.watches w
    set is_id_per_broker = porchlight.is_id_per_broker(watch.watched)
    where w.watched = watch.watched;
    update porchlight.watches w
    set made_of = porchlight.made_of(watch.watched),
        statements = (
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
end
$$;

create or replace function porchlight.unwatch(watched regclass)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
as $$
declare
    was_watched boolean;
    name        text;
begin
    delete from porchlight.watches w where w.watched = unwatch.watched;
    was_watched := found;
    for name in
        select t.tgname from pg_trigger t
        where t.tgrelid = unwatch.watched and t.tgfoid = 'porchlight.capture()'::regprocedure
    loop
        begin
            execute format('drop trigger %I on %s', name, watched);
        exception when insufficient_privilege then
            -- Who may make a trigger may not take it away; this one has nothing to tell any more.
        end;
    end loop;
    return was_watched;
end
$$;

-- An event of the CRM's own, told when the transaction commits. `audience` is one of
-- {"user": id}, {"team": id} and {"broker": true}; which broker says `broker`, or
-- `SET LOCAL porchlight.broker_id`, or the audience itself: {"broker": "b-1", "team": "t-1"}.
-- `data` and `changes` are json, jsonb, text with JSON in it, or anything that becomes JSON.
-- What they hold cannot fail the transaction: what cannot be told is set aside by the relay.
create or replace function porchlight.emit(type text, audience jsonb, data anycompatible default null,
        broker text default null, module text default null, record_id text default null,
        changes anycompatible default null, version bigint default null, user_id text default null)
    returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
as $$
    insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id, version,
        data, changes, is_truncated)
    select coalesce(emit.broker, case jsonb_typeof(audience -> 'broker')
                when 'string' then audience ->> 'broker' end,
            nullif(current_setting('porchlight.broker_id', true), '')),
        case
            when audience ? 'user' then 'user:' || (audience ->> 'user')
            when audience ? 'team' then 'team:' || (audience ->> 'team')
            when audience -> 'broker' = 'true' or jsonb_typeof(audience -> 'broker') = 'string' then 'broker'
        end,
        emit.type, emit.module, emit.record_id,
        coalesce(emit.user_id, nullif(current_setting('porchlight.user_id', true), '')),
        emit.version, case when fits then data_text end, case when fits then changes_text end,
        not fits
    from (
        select *, coalesce(octet_length(data_text), 0) + coalesce(octet_length(changes_text), 0)
            <= 65536 as fits
        from (
            select case when pg_typeof(emit.data) = 'text'::regtype then emit.data::text
                    else to_json(emit.data)::text end as data_text,
                case when pg_typeof(emit.changes) = 'text'::regtype then emit.changes::text
                    else to_json(emit.changes)::text end as changes_text
        ) texts
    ) told
$$;

-- Makes the statements anew for tables that have changed since: until then, each write does.
create function porchlight.renew_watches()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    watch porchlight.watches;
begin
    for watch in
        select * from porchlight.watches w
        where w.made_of is distinct from porchlight.made_of(w.watched)
            and exists (select from pg_class c where c.oid = w.watched)
        for update skip locked
    loop
        begin
            -- In a restored table the names are what is known. One that is not there has no number.
            update porchlight.watched_columns c
            set attnum = coalesce((
                select a.attnum from pg_attribute a
                where a.attrelid = c.watched and a.attname = c.name and not a.attisdropped), 0)
            where c.watched = watch.watched and not porchlight.are_numbers_known(watch);
            update porchlight.watches w
            set made_of = porchlight.made_of(w.watched),
                statements = (
                    select jsonb_object_agg(operation, porchlight.capture_statement(watch, operation))
                    from unnest('{INSERT,UPDATE,DELETE}'::text[]) as o(operation))
            where w.watched = watch.watched;
        exception when others then
            -- A column is gone: as before, each write says so, and goes on.
        end;
    end loop;
end
$$;

-- Tables that are watched already tell the same.
update porchlight.watches w set made_of = w.watched::oid || ':';
select porchlight.renew_watches();
select porchlight.remember_record_words();
