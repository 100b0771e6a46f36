-- Who owns a record by now, and what its fields were before.

alter table porchlight.events
    -- The old values of what changed, except what is private. No client is sent them with an
    -- event: they are for those who tell what happened, like "from $400,000 to $395,000".
    add column previous  json,
    -- With this event the record got another owner, and so did its earlier events.
    add column new_owner boolean not null default false;
comment on column porchlight.events.owner_id is
    'Who owns the record: as of the event, or as of now where the event has private fields.';

alter table porchlight.outbox
    add column previous     text,
    add column is_new_owner boolean not null default false;

alter type porchlight.capture_parts
    add attribute old_owner    text,
    add attribute is_new_owner text,
    -- An object of what was there before, for what differs and is not private.
    add attribute previous     text;

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
        select '''{'' || concat_ws('','', %s) || ''}'''::text as object
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
        case when secrets is null then 'null' else format(object, new_secrets) end,
        coalesce('o.' || owner || '::text', 'null'),
        -- In a log that it left and comes back to, it may be known as another's.
        coalesce(nullif(concat_ws(' or ', is_new_owner, case when owner is not null then is_new_broker end), ''),
            'false'),
        case when previous is null then 'null' else format(object, previous) end
    from found f, words
$$;

-- The one query that says what a statement did to a watched table, in the columns of the outbox. It
-- is made of the columns as they are, and anew when they have changed, so that no change of the schema makes
-- it wrong; it is planned each time, for as many rows as there are. `$1` is who did it, where the transaction says so.
create or replace function porchlight.capture_statement(watch porchlight.watches, operation text)
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
                %s as actor, %s as data, null as changes, %s as private, %s as owner,
                null as previous, false as is_new_owner
            from new_rows n$sql$,
            p.broker, p.audience, p.id, p.version, p.actor, p.record, p.secrets, p.owner);
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
                full join (select *, true as porchlight_is from new_rows) n on %17$s
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
            p.secrets, p.new_secrets, p.is_same, p.old_owner, p.previous, p.is_new_owner);
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


-- Tables that are watched already tell the same.
do $$
declare
    watch porchlight.watches;
begin
    for watch in select * from porchlight.watches loop
        begin
            update porchlight.watches w
            set made_of = porchlight.made_of(w.watched),
                statements = (
                    select jsonb_object_agg(operation, porchlight.capture_statement(w, operation))
                    from unnest('{INSERT,UPDATE,DELETE}'::text[]) as o(operation))
            where w.watched = watch.watched;
        exception when others then
            -- A column or the table is gone: as before, each write says so, and goes on.
            update porchlight.watches w set made_of = null where w.watched = watch.watched;
        end;
    end loop;
end
$$;
