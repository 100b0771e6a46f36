-- revision: 2
-- Whether `to_json` of this type runs no code but that of superusers and of the owner of this schema: it calls casts to
-- json, also those of elements and attributes. The owner of a type may make one at any time, also while a statement runs,
-- so it is not enough that there is none. `to_json` calls none for arrays and rows as such, whoever owns them. Asked for
-- each statement, because attributes may be added; those that come later are null in the rows that are there.
create or replace function porchlight.is_json_trusted(type oid)
    returns boolean
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive parts as (
        select porchlight.base_type(is_json_trusted.type) as oid
        union
        select porchlight.base_type(i.oid)
        from parts p join pg_type t on t.oid = p.oid cross join lateral (
            select t.typelem as oid where t.typelem <> 0
            union all
            select a.atttypid from pg_attribute a
            where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        ) i
    )
    , owners as (
        select t.typowner as oid from parts p join pg_type t on t.oid = p.oid
        where t.typtype <> 'c' and t.typsubscript <> 'array_subscript_handler'::regproc
        union
        select f.proowner from parts p
        join pg_cast c on c.castsource = p.oid and c.casttarget = 'json'::regtype
        join pg_proc f on f.oid = c.castfunc
    )
    select not exists (
        select from owners o join pg_roles r on r.oid = o.oid
        where not r.rolsuper
            and o.oid <> (select n.nspowner from pg_namespace n where n.nspname = 'porchlight'))
$$;
