-- revision: 1
-- Whether the columns still have the numbers from the time when the table was watched. They may not
-- after a restore from a dump, which does not count dropped columns.
create or replace function porchlight.are_numbers_known(watch porchlight.watches)
    returns boolean
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(split_part(watch.made_of, ':', 1) = watch.watched::oid::text, true)
$$;
