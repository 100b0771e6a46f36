-- revision: 1
-- The number of a column. Fails if there is no such column.
create or replace function porchlight.column_number(watched regclass, name name)
    returns smallint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    number smallint;
    others text;
begin
    select a.attnum into number from pg_attribute a
    where a.attrelid = watched and a.attname = column_number.name and a.attnum > 0
        and not a.attisdropped;
    if number is null then
        select string_agg(c.name, ', ' order by c.attnum) into others
        from porchlight.columns_of(watched) c;
        raise exception '% has no column %', watched, column_number.name
            using hint = format('Its columns are %s.', others);
    end if;
    return number;
end
$$;
