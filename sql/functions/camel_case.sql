-- revision: 1
-- `list_price` becomes `listPrice`.
create or replace function porchlight.camel_case(name text)
    returns text
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select left(camel_case.name, 1) || string_agg(
        case when i = 1 then part else upper(left(part, 1)) || substr(part, 2) end, '' order by i)
    from regexp_split_to_table(substr(camel_case.name, 2), '_+(?=[^_])') with ordinality as p(part, i)
$$;
