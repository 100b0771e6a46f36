-- A record that gets another owner tells its private fields with that, changed or not: they are
-- others now to who got it and to who had it, and a list that is kept by what is told would
-- go on with the old ones.

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
