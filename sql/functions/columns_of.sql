-- revision: 1
-- The current columns of a watched table, and their roles.
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
        -- Triggers do not see virtual generated columns.
        and a.attgenerated <> 'v'
$$;
