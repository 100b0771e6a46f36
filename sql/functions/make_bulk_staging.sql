-- revision: 2
-- The trigger that makes a staging table for a watched table. A table with a column of a user-defined type gets
-- none, because nobody could drop the type then.
create or replace function porchlight.make_bulk_staging()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    name     constant text := 'porchlight.bulk_staging_' || nextval('porchlight.bulk_staging_numbers');
    is_plain boolean;
    names    text;
    columns  text;
begin
    update porchlight.bulk_staging s set watched = null where s.watched = new.watched;
    perform porchlight.drop_bulk_staging();
    select bool_and(t.typtype = 'e' or t.typnamespace = 'pg_catalog'::regnamespace) and count(*) < 1500,
        -- An assignment would call a cast that the owner of the type made.
        string_agg(case when t.typtype = 'e'
            then format('case when num_nulls(%1$I) = 0 then format(''%%s'', %1$I) end', c.name)
            else quote_ident(c.name) end, ', ' order by c.attnum),
        string_agg(quote_ident(c.name) || ' '
            || case when t.typtype = 'e' then 'text' else format_type(t.oid, -1) end, ', ' order by c.attnum)
    into is_plain, names, columns
    from porchlight.columns_of(new.watched) c join pg_type t on t.oid = c.type
    where c.roles <> '{hidden}';
    if is_plain then
        execute format('create table %s (porchlight_bulk_change bigint, porchlight_is_new boolean, %s)',
            name, columns);
        insert into porchlight.bulk_staging values (name, new.watched, names, new.statements);
    end if;
    return null;
end
$$;

revoke execute on function porchlight.make_bulk_staging() from public;

create or replace trigger make_bulk_staging after update of statements on porchlight.watches
    for each row when (new.statements is distinct from old.statements)
    execute function porchlight.make_bulk_staging();
