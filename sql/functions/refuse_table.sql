-- revision: 1
-- Fails if this cannot be watched. Tables of the service itself cannot, except for the tables of records.
create or replace function porchlight.refuse_table(watched regclass)
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
    elsif class.relnamespace in ('porchlight'::regnamespace, 'pg_catalog'::regnamespace)
            and not exists (select from porchlight.record_tables t where t.records = watched) then
        raise exception '% is not a table of the CRM', watched;
    end if;
end
$$;
