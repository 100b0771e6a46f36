-- revision: 1
-- The type on which a domain is based; any other type itself.
create or replace function porchlight.base_type(type oid)
    returns oid
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive bases as (
        select base_type.type as oid
        union all
        select t.typbasetype from bases b join pg_type t on t.oid = b.oid where t.typtype = 'd'
    )
    select b.oid from bases b join pg_type t on t.oid = b.oid where t.typtype <> 'd'
$$;
