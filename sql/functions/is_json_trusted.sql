-- revision: 1
-- Whether `to_json` of this type runs no code but that of superusers and of the owner of this schema: it calls casts to
-- json, also those of elements and attributes. Asked for each statement, because a cast may be made at any time.
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
    select not exists (
        select from parts p join pg_cast c on c.castsource = p.oid and c.casttarget = 'json'::regtype
        join pg_proc f on f.oid = c.castfunc
        where not (select r.rolsuper from pg_roles r where r.oid = f.proowner)
            and f.proowner <> (select n.nspowner from pg_namespace n where n.nspname = 'porchlight'))
$$;
