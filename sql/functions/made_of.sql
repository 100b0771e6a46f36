-- revision: 1
-- What the statements of a watched table are made from: the table and its columns.
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
