-- revision: 2
-- Whether ids are unique only within a brokerage. Null if they are not unique at all: an update could not be
-- attributed to a record then.
create or replace function porchlight.is_id_per_broker(watched regclass)
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    id     smallint;
    broker smallint;
begin
    select min(c.attnum) filter (where 'id' = any (c.roles)), min(c.attnum) filter (where 'broker' = any (c.roles))
        into id, broker
    from porchlight.columns_of(watched) c;
    perform from pg_index i
    where i.indrelid = watched and i.indisunique and i.indisvalid and i.indpred is null
        and i.indexprs is null and i.indnkeyatts = 1 and i.indkey[0] = id;
    if found then
        return false;
    end if;
    perform from pg_index i
    where i.indrelid = watched and i.indisunique and i.indisvalid and i.indpred is null
        and i.indexprs is null and i.indnkeyatts = 2
        and (i.indkey[0], i.indkey[1]) in ((id, broker), (broker, id));
    return case when found then true end;
end
$$;
