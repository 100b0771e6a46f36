-- revision: 1
-- Whether ids are unique only within a brokerage. Fails if they are not unique at all, because an update
-- could not be attributed to a record.
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
    select min(c.attnum) filter (where c.role = 'id'), min(c.attnum) filter (where c.role = 'broker')
        into id, broker
    from porchlight.watched_columns c where c.watched = is_id_per_broker.watched;
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
    if not found then
        raise exception 'the id column of % must be unique, by itself or together with the broker''s',
            watched using hint = 'Add a primary key or a unique constraint.';
    end if;
    return true;
end
$$;
