-- revision: 3
-- The parts of the statements of a watched table, as SQL expressions made from its columns.
create or replace function porchlight.capture_parts(watch porchlight.watches)
    returns porchlight.capture_parts
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with known as (
        select c.*, quote_ident(c.name) as quoted, not 'hidden' = any (roles) as is_visible,
            t.typtype = 'e' as is_enum, t.typnamespace <> 'pg_catalog'::regnamespace as is_foreign,
            t.typsubscript = 'array_subscript_handler'::regproc and t.typdelim = ',' as is_array,
            case when watch.camel_case then porchlight.camel_case(c.name) else c.name end as wished
        from porchlight.columns_of(watch.watched) c join pg_type t on t.oid = c.type
    ), named as (
        -- Two columns never get the same name: they keep their own then.
        select *, to_json(case when count(*) over (partition by wished) > 1 then name
            else wished end)::text || ':' as key
        from known
    ), as_texts as (
        -- The owner of a type may make casts, and the statements run with the rights of another role. `format`
        -- calls no cast.
        select *, case when is_foreign then '(case when num_nulls(%1$s.%2$s) = 0 then format(''%%s'', %1$s.%2$s) end)'
            else '%1$s.%2$s::text' end as as_text
        from named
    ), written as (
        select *, format(as_text, 'n', quoted) as new_text, format(as_text, 'o', quoted) as old_text,
            case
                when is_enum then format('to_json(%s)::text', as_text)
                when is_foreign then format('case when (select porchlight.is_json_trusted(%s)) '
                    'then to_json(%%1$s.%%2$s)::text else to_json(%s)::text end', type,
                    -- The text of an array, read again as an array of texts.
                    as_text || case when is_array then '::text[]' else '' end)
                when type = any ('{boolean,smallint,integer,bigint}'::regtype[]) then '%s.%s::text'
                when type = any ('{timestamptz,timestamptz[]}'::regtype[])
                    then 'replace(to_json(%s.%s)::text, ''+00:00"'', ''Z"'')'
                else 'to_json(%s.%s)::text'
            end as value,
            -- The types for which equal values have equal JSON. All other types are compared as text,
            -- unless they are equal as bytes, which is cheaper to find out.
            format(case
                when type = any ('{boolean,smallint,integer,bigint,numeric,real,float8,uuid,bytea,
                    date,time,timestamp,timestamptz,jsonb}'::regtype[])
                    then 'o.%1$s is distinct from n.%1$s'
                when type = any ('{text,varchar,bpchar,name}'::regtype[])
                    then 'o.%1$s::text collate "C" is distinct from n.%1$s::text collate "C"'
                when is_foreign
                    then 'record_image_ne(row(o.%1$s), row(n.%1$s))
                    and format(''%%L'', o.%1$s) collate "C" is distinct from format(''%%L'', n.%1$s) collate "C"'
                else 'record_image_ne(row(o.%1$s), row(n.%1$s))
                    and o.%1$s::text collate "C" is distinct from n.%1$s::text collate "C"'
            end, quoted) as differs,
            case when type = 'boolean'::regtype then 'coalesce(%s.%s, false)'
                else '(%s.%s is not null)' end as is_set
        from as_texts
    ), expressed as (
        select *, format('%L || coalesce(%s, ''null'')', key, format(value, 'n', quoted)) as plainly,
            format('%L || coalesce(%s, ''null'')', key, format(value, 'o', quoted)) as before,
            case when 'private' = any (roles) then quote_literal(key || '"[REDACTED]"') end as redacted,
            -- The new owner now sees private fields, and the old owner no longer does.
            case when 'private' = any (roles)
                then concat_ws(' or ', differs, max(differs) filter (where 'owner' = any (roles)) over ())
                else differs end as looks_different
        from written
    ), found as (
        select max(quoted) filter (where 'id' = any (roles)) as id_column,
            max(quoted) filter (where 'broker' = any (roles)) as broker_column,
            max(new_text) filter (where 'id' = any (roles)) as id,
            max(old_text) filter (where 'id' = any (roles)) as old_id,
            max(new_text) filter (where 'broker' = any (roles)) as broker,
            max(old_text) filter (where 'broker' = any (roles)) as old_broker,
            max(new_text) filter (where 'team' = any (roles)) as team,
            max(old_text) filter (where 'team' = any (roles)) as old_team,
            max(new_text) filter (where 'owner' = any (roles)) as owner,
            max(old_text) filter (where 'owner' = any (roles)) as old_owner,
            max(case when is_foreign then new_text else 'n.' || quoted end)
                filter (where 'version' = any (roles)) as version,
            max(new_text) filter (where 'actor' = any (roles)) as actor,
            max(format(is_set, 'n', quoted)) filter (where 'archived' = any (roles)) as is_archived,
            max(format(is_set, 'o', quoted)) filter (where 'archived' = any (roles)) as was_archived,
            string_agg(differs, ' or ') filter (where roles && '{broker,team}') as is_moved,
            max(differs) filter (where 'owner' = any (roles)) as is_new_owner,
            max(differs) filter (where 'broker' = any (roles)) as is_new_broker,
            string_agg(coalesce(redacted, plainly), ', ' order by attnum)
                filter (where is_visible) as record,
            string_agg(plainly, ', ' order by attnum)
                filter (where is_visible and redacted is not null) as secrets,
            string_agg(format('case when %s then %s end', looks_different, coalesce(redacted, plainly)),
                ', ' order by attnum) filter (where is_visible) as changes,
            string_agg(format('case when %s then %s end', looks_different, plainly), ', ' order by attnum)
                filter (where is_visible and redacted is not null) as new_secrets,
            string_agg(format('case when %s then %s end', differs, before), ', ' order by attnum)
                filter (where is_visible and redacted is null) as previous
        from expressed
    ), form as (
        -- A function takes at most 100 arguments. An array has no such limit, but costs more.
        select case when count(*) <= 99 then '''{'' || concat_ws('','', %s) || ''}'''
            else '''{'' || array_to_string(array[%s]::text[], '','') || ''}''' end as object
        from expressed
    )
    select (select min(c.role) from porchlight.watched_columns c
            where c.watched = watch.watched and (c.role = 'id' and f.id is null
                or c.role = 'broker' and f.broker is null or c.role = 'team' and f.team is null
                -- It was private, and its new name is not known.
                or c.role in ('private', 'hidden') and not porchlight.are_numbers_known(watch)
                    and not exists (select from known k where k.name = c.name))),
        -- The relay sets aside records without an id.
        'coalesce(' || id || ', '''')',
        'coalesce(' || old_id || ', '''')',
        format('o.%1$s = n.%1$s', id_column)
            || case when watch.is_id_per_broker then format(' and o.%1$s = n.%1$s', broker_column) else '' end,
        coalesce(broker, quote_literal(watch.broker)),
        coalesce(old_broker, quote_literal(watch.broker)),
        coalesce('coalesce(''team:'' || ' || team || ', ''broker'')', '''broker'''),
        coalesce('coalesce(''team:'' || ' || old_team || ', ''broker'')', '''broker'''),
        coalesce(is_moved, 'false'),
        coalesce(is_archived, 'false'),
        coalesce(was_archived, 'false'),
        coalesce(owner, 'null'),
        coalesce(version || '::bigint', 'null::bigint'),
        coalesce('coalesce($1, ' || actor || ')', '$1'),
        format(object, coalesce(record, 'null')),
        case when secrets is null then 'null' else format(object, secrets) end,
        format(object, coalesce(changes, 'null')),
        case when secrets is null then 'null' else format(object, new_secrets) end,
        coalesce(old_owner, 'null'),
        -- If a record moves to another brokerage, that log may have it with an earlier owner.
        coalesce(nullif(concat_ws(' or ', is_new_owner, case when owner is not null then is_new_broker end), ''),
            'false'),
        case when previous is null then 'null' else format(object, previous) end
    from found f, form
$$;
