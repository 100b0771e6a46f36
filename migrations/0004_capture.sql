-- Change capture: tables that exist already tell what happens to them. Triggers write to an
-- outbox in the writer's transaction; the relay moves what is committed to the log.

-- What masking needs: `data` and `changes` say "[REDACTED]" in place of each private field;
-- the real values are kept beside them, and whoever owns the record may see them.
alter table porchlight.events
    add column private   json,
    add column owner_id  text,
    -- It was too large to be told with its data.
    add column truncated boolean not null default false;

-- The tables that tell.
create table porchlight.watches (
    -- Follows the table when it is renamed.
    watched    regclass primary key,
    module     text not null,
    -- What one of its records is called in the types of events.
    singular   text not null,
    -- Whose records they are, where no column says so.
    broker     text,
    -- The id is unique within a broker only.
    is_id_per_broker boolean not null,
    camel_case boolean not null,
    -- The statements below as `watch` made them, and the columns that they were made of.
    made_of    text,
    statements jsonb,
    created_at timestamptz not null default now(),
    constraint module_is_a_name check (module ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    constraint singular_begins_types check (singular ~ '^[A-Za-z0-9_.-]{1,32}$'),
    constraint broker_is_a_name check (broker ~ '^[A-Za-z0-9_.:-]{1,64}$')
);

-- What their columns mean. A column that is renamed is known by its number, one that is
-- restored from a dump by its name; a private or hidden one is known by either.
create table porchlight.watched_columns (
    watched regclass not null references porchlight.watches on delete cascade,
    role    text not null,
    name    name not null,
    attnum  smallint not null,
    primary key (watched, role, name),
    constraint role_is_known check (role in
        ('id', 'broker', 'team', 'owner', 'version', 'archived', 'actor', 'private', 'hidden'))
);
create unique index one_column_per_role on porchlight.watched_columns (watched, role)
    where role not in ('private', 'hidden');

-- What was committed and has not reached the log yet. It has no constraints: what is wrong
-- with a row must not fail the transaction that wrote it, and is judged by the relay.
create table porchlight.outbox (
    -- Within a transaction and for one record, ids are in the order of what happened. Among
    -- transactions they are not: the relay takes what it sees and keeps no cursor.
    id           bigint generated always as identity primary key,
    broker_id    text,
    audience     text,
    type         text,
    module       text,
    record_id    text,
    user_id      text,
    version      bigint,
    data         text,
    changes      text,
    private      text,
    owner_id     text,
    is_truncated boolean not null default false,
    -- Nothing could be told of a change, and this is why.
    failure      text,
    created_at   timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000);

-- Whether there is anything for the relay. It asks often, and must not read through the rows that
-- are gone: the plan of a moment when there were none would.
create function porchlight.is_anything_waiting()
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
begin
    return (select id from porchlight.outbox order by id limit 1) is not null;
end
$$;

-- What could not be told, and why. Nobody reads it but people.
create table porchlight.poison (
    id           bigint primary key,
    outbox_row   json not null,
    reason       text not null,
    set_aside_at timestamptz not null default now()
);

-- `list_price` as `listPrice`.
create function porchlight.camel_case(name text)
    returns text
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select left(camel_case.name, 1) || string_agg(
        case when i = 1 then part else upper(left(part, 1)) || substr(part, 2) end, '' order by i)
    from regexp_split_to_table(substr(camel_case.name, 2), '_+(?=[^_])') with ordinality as p(part, i)
$$;

-- The columns of a watched table as they are now, and what they mean.
create function porchlight.columns_of(watched regclass)
    returns table (attnum smallint, name name, type oid, roles text[])
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select a.attnum, a.attname, a.atttypid, array(
        select c.role from porchlight.watched_columns c
        where c.watched = columns_of.watched and (c.name = a.attname
            or c.attnum = a.attnum and (c.role in ('private', 'hidden') or not exists (
                select from pg_attribute o
                where o.attrelid = a.attrelid and o.attname = c.name and not o.attisdropped))))
    from pg_attribute a
    where a.attrelid = columns_of.watched and a.attnum > 0 and not a.attisdropped
$$;

-- Parts of the statements below, as text: `n` is a row as it is now, `o` as it was.
create type porchlight.capture_parts as (
    -- A role whose column is gone, without which nobody can say who may know.
    gone         text,
    id           text,
    old_id       text,
    is_same      text,
    broker       text,
    old_broker   text,
    audience     text,
    old_audience text,
    is_moved     text,
    is_archived  text,
    was_archived text,
    owner        text,
    version      text,
    actor        text,
    -- Objects: all that is told, its private part, and the same of what differs.
    record       text,
    secrets      text,
    changes      text,
    new_secrets  text
);

create function porchlight.capture_parts(watch porchlight.watches)
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
                when type = any ('{boolean,smallint,integer,bigint}'::regtype[])
                    then format('n.%s::text', quoted)
                when type = any ('{timestamptz,timestamptz[]}'::regtype[])
                    then format('replace(to_json(n.%s)::text, ''+00:00"'', ''Z"'')', quoted)
                else format('to_json(n.%s)::text', quoted)
            end as value,
            -- Types whose equality is that of what is told; of all others the text is compared.
            format(case
                when type = any ('{boolean,smallint,integer,bigint,numeric,real,float8,uuid,bytea,
                    date,time,timestamp,timestamptz,jsonb}'::regtype[])
                    then 'o.%1$s is distinct from n.%1$s'
                else 'o.%1$s::text collate "C" is distinct from n.%1$s::text collate "C"'
            end, quoted) as differs,
            case when type = 'boolean'::regtype then 'coalesce(%s.%s, false)'
                else '(%s.%s is not null)' end as is_set
        from named
    ), said as (
        select *, format('%L || coalesce(%s, ''null'')', key, value) as plainly,
            case when 'private' = any (roles) then quote_literal(key || '"[REDACTED]"') end as redacted
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
            string_agg(coalesce(redacted, plainly), ', ' order by attnum)
                filter (where is_told) as record,
            string_agg(plainly, ', ' order by attnum)
                filter (where is_told and redacted is not null) as secrets,
            string_agg(format('case when %s then %s end', differs, coalesce(redacted, plainly)),
                ', ' order by attnum) filter (where is_told) as changes,
            string_agg(format('case when %s then %s end', differs, plainly), ', ' order by attnum)
                filter (where is_told and redacted is not null) as new_secrets
        from said
    ), words as (
        select '''{'' || array_to_string(array[%s]::text[], '','') || ''}'''::text as object
    )
    select (select min(c.role) from porchlight.watched_columns c
            where c.watched = watch.watched and (c.role = 'id' and f.id is null
                or c.role = 'broker' and f.broker is null or c.role = 'team' and f.team is null)),
        'n.' || id || '::text',
        'o.' || id || '::text',
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
        format(object, record),
        case when secrets is null then 'null' else format(object, secrets) end,
        format(object, changes),
        case when secrets is null then 'null' else format(object, new_secrets) end
    from found f, words
$$;

-- The one statement that tells what a statement did to a watched table. It is made of the
-- columns as they are, and anew when they have changed, so that no change of the schema makes
-- it wrong; it is planned each time, for as many rows as there are. `$1` is who did it, where the transaction says so.
create function porchlight.capture_statement(watch porchlight.watches, operation text)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    p    constant porchlight.capture_parts := porchlight.capture_parts(watch);
    rows text;
begin
    if p.gone is not null then
        raise exception 'its % column is gone', p.gone using hint = 'Call porchlight.watch again.';
    end if;
    if operation = 'INSERT' then
        rows := format($sql$
            select 'created' as action, %s as broker, %s as audience, %s as id, %s as version,
                %s as actor, %s as data, null as changes, %s as private, %s as owner
            from new_rows n$sql$,
            p.broker, p.audience, p.id, p.version, p.actor, p.record, p.secrets, p.owner);
    elsif operation = 'DELETE' then
        -- Whoever wrote the row last is not who deletes it.
        rows := format($sql$
            select 'deleted' as action, %s as broker, %s as audience, %s as id, %s as version,
                $1 as actor, null as data, null as changes, null as private, null as owner
            from old_rows n$sql$,
            p.broker, p.audience, p.id, p.version);
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
                owner
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
                    %10$s as version, %11$s as actor, %12$s as owner,
                    case when n.porchlight_is and (o.porchlight_was is null or %1$s) then %13$s end
                        as data,
                    case when n.porchlight_is and o.porchlight_was then %14$s end as changes,
                    case when n.porchlight_is and (o.porchlight_was is null or %1$s) then %15$s
                        when n.porchlight_is then %16$s end as private
                from (select *, true as porchlight_was from old_rows) o
                full join (select *, true as porchlight_is from new_rows) n on %17$s
                offset 0
            ) c cross join lateral (
                select 'loser' as side where action = 'moved'
                union all select case when action = 'moved' then 'winner' end
            ) t
            where action <> 'updated' or changes <> '{}'$sql$,
            p.is_moved, p.is_archived, p.was_archived, p.broker, p.old_broker, p.audience,
            p.old_audience, p.id, p.old_id, p.version, p.actor, p.owner, p.record, p.changes,
            p.secrets, p.new_secrets, p.is_same);
    end if;
    return format($sql$
        insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id,
            version, data, changes, private, owner_id, is_truncated)
        select broker, audience, %L || action, %L, id, actor, version, case when fits then data end,
            case when fits then changes end, case when fits then private end, owner, not fits
        from (
            -- As `--event-bytes`.
            select *, coalesce(octet_length(data), 0) + coalesce(octet_length(changes), 0)
                + coalesce(octet_length(private), 0) <= 65536 as fits
            from (%s offset 0) r
            offset 0
        ) r$sql$, watch.singular || ':', watch.module, rows);
end
$$;

-- What the statements of a watched table are made of.
create function porchlight.made_of(watched regclass)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return md5(string_agg(format('%s %s %s', a.attnum, a.atttypid, a.attname), ',' order by a.attnum))
    from pg_attribute a where a.attrelid = watched and a.attnum > 0 and not a.attisdropped;
end
$$;

-- Tells what a statement did to a watched table. Whatever goes wrong, the statement goes on.
create function porchlight.capture()
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
    watch     porchlight.watches;
    is_any    boolean;
    statement text;
    failure   text;
begin
    if tg_op = 'DELETE' then
        is_any := exists (select from old_rows);
    else
        is_any := exists (select from new_rows);
    end if;
    if not is_any then
        return null;
    end if;
    -- A subtransaction: an error in it undoes no more than what it told.
    begin
        select * into watch from porchlight.watches w where w.watched = tg_relid;
        if watch.watched is not null then
            statement := watch.statements ->> tg_op;
            if watch.made_of is distinct from porchlight.made_of(tg_relid) then
                statement := porchlight.capture_statement(watch, tg_op);
            end if;
            execute statement using nullif(current_setting('porchlight.user_id', true), '');
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
revoke execute on function porchlight.capture() from public;

-- An event of the CRM's own, told when the transaction commits. `audience` is one of
-- {"user": id}, {"team": id} and {"broker": true}; which broker says `broker`, or
-- `SET LOCAL porchlight.broker_id`, or the audience itself: {"broker": "b-1", "team": "t-1"}.
-- `data` and `changes` are json, jsonb, text with JSON in it, or anything that becomes JSON.
-- What they hold cannot fail the transaction: what cannot be told is set aside by the relay.
create function porchlight.emit(type text, audience jsonb, data anycompatible default null,
        broker text default null, module text default null, record_id text default null,
        changes anycompatible default null, version bigint default null, user_id text default null)
    returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id, version,
        data, changes, is_truncated)
    select coalesce(emit.broker, case jsonb_typeof(audience -> 'broker')
                when 'string' then audience ->> 'broker' end,
            nullif(current_setting('porchlight.broker_id', true), '')),
        case
            when audience ? 'user' then 'user:' || (audience ->> 'user')
            when audience ? 'team' then 'team:' || (audience ->> 'team')
            when audience ? 'broker' then 'broker'
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

-- From now on this table tells what happens to it. Called again, it is configured anew. Of a
-- partitioned table, what is written by the name of a partition is not told, nor is TRUNCATE, which
-- does not say what it removes.
--
-- Refused here, and not when somebody writes, is whatever cannot work. Writers wait as for any
-- `create trigger`, for two seconds at the most. Who calls it needs the right to create triggers
-- on the table, and to write in this schema; who writes to the table needs none.
create function porchlight.watch(
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
    if (broker is null) = (broker_column is null) then
        raise exception 'whose records are they? Name broker_column, or broker where all are of one';
    end if;
    if broker !~ '^[A-Za-z0-9_.:-]{1,64}$' then
        raise exception 'broker must be 1 to 64 characters from A-Z a-z 0-9 _ - . :';
    end if;
    perform porchlight.refuse_table(watched);

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

-- The number of a column, which must be there.
create function porchlight.column_number(watched regclass, name name)
    returns smallint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    number smallint;
    others text;
begin
    select a.attnum into number from pg_attribute a
    where a.attrelid = watched and a.attname = column_number.name and a.attnum > 0
        and not a.attisdropped;
    if number is null then
        select string_agg(c.name, ', ' order by c.attnum) into others
        from porchlight.columns_of(watched) c;
        raise exception '% has no column %', watched, column_number.name
            using hint = format('Its columns are %s.', others);
    end if;
    return number;
end
$$;

-- Only tables keep their rows, and tell of them by transition tables.
create function porchlight.refuse_table(watched regclass)
    returns void
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    class pg_class;
begin
    select * into class from pg_class c where c.oid = watched;
    if class.oid is null then
        raise exception 'there is no table with the oid %', watched::oid;
    elsif class.relkind not in ('r', 'p') then
        raise exception '% is no table', watched
            using hint = 'Watch the table whose rows it shows.';
    elsif class.relpersistence = 't' then
        raise exception '% is temporary', watched;
    elsif class.relnamespace in ('porchlight'::regnamespace, 'pg_catalog'::regnamespace) then
        raise exception '% is not a table of the CRM', watched;
    end if;
end
$$;

-- Columns that cannot be what they are said to be.
create function porchlight.refuse_columns(watched regclass)
    returns void
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    bad record;
begin
    select c.role, c.name, c.type::regtype as type, k.kind into bad
    from (
        select r.role, c.name, case when t.typtype = 'd' then t.typbasetype else t.oid end as type,
            t.typtype = 'e' as is_enum
        from porchlight.columns_of(watched) c cross join unnest(c.roles) as r(role)
        join pg_type t on t.oid = c.type
    ) c
    join (
        values ('version', '{smallint,integer,bigint}'::regtype[], 'a whole number'),
            ('archived', '{boolean,timestamptz,timestamp,date}', 'a time or a boolean'),
            ('id', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('broker', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('team', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('owner', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('actor', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid')
    ) k (role, types, kind) on k.role = c.role
    where c.type <> all (k.types)
    order by c.role limit 1;
    if bad.role is not null then
        raise exception '%_column => % must be %, not %', bad.role, bad.name, bad.kind, bad.type;
    end if;

    select c.name, r.role into bad
    from porchlight.columns_of(watched) c cross join unnest(c.roles) as r(role)
    where 'private' = any (c.roles) and r.role in ('id', 'version', 'actor') limit 1;
    if bad.role is not null then
        raise exception '% cannot be private', bad.name
            using hint = format('It is the %s_column, which everybody is told with every event.',
                bad.role);
    end if;
end
$$;

-- Whether ids are unique within a broker only. They must be unique somehow: what an update did
-- to which record could not be told else.
create function porchlight.is_id_per_broker(watched regclass)
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    id     smallint;
    broker smallint;
begin
    select min(c.attnum) filter (where c.role = 'id'), min(c.attnum) filter (where c.role = 'broker')
        into id, broker
    from porchlight.watched_columns c where c.watched = is_id_per_broker.watched;
    perform from pg_index i
    where i.indrelid = watched and i.indisunique and i.indisvalid and i.indpred is null
        and i.indexprs is null and i.indnkeyatts = 1 and i.indkey[0] = id;
    if found then
        return false;
    end if;
    perform from pg_index i
    where i.indrelid = watched and i.indisunique and i.indisvalid and i.indpred is null
        and i.indexprs is null and i.indnkeyatts = 2
        and (i.indkey[0], i.indkey[1]) in ((id, broker), (broker, id));
    if not found then
        raise exception 'the id column of % must be unique, by itself or together with the broker''s',
            watched using hint = 'Add a primary key or a unique constraint.';
    end if;
    return true;
end
$$;

-- This table tells nothing any more. Whether it told before.
create function porchlight.unwatch(watched regclass)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
as $$
declare
    was_watched boolean;
begin
    delete from porchlight.watches w where w.watched = unwatch.watched;
    was_watched := found;
    execute format('drop trigger if exists porchlight_insert on %s', watched);
    execute format('drop trigger if exists porchlight_update on %s', watched);
    execute format('drop trigger if exists porchlight_delete on %s', watched);
    return was_watched;
end
$$;

-- The tables that tell, how they are configured, and what keeps one from telling.
create function porchlight.watched()
    returns table (watched regclass, module text, singular text, broker text, columns jsonb,
        camel_case boolean, problem text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select w.watched, w.module, w.singular, w.broker,
        (select jsonb_object_agg(role, names) from (
            select c.role, jsonb_agg(c.name order by c.attnum) as names
            from porchlight.watched_columns c where c.watched = w.watched group by c.role
        ) r),
        w.camel_case,
        case
            when not exists (select from pg_class c where c.oid = w.watched) then 'the table is gone'
            when (porchlight.capture_parts(w)).gone is not null
                then format('the %s column is gone', (porchlight.capture_parts(w)).gone)
            when (select count(*) from pg_trigger t
                  where t.tgrelid = w.watched and t.tgenabled <> 'D'
                      and t.tgfoid = 'porchlight.capture()'::regprocedure) < 3
                then 'a trigger is missing or disabled'
        end
    from porchlight.watches w order by w.module, w.watched::text
$$;
