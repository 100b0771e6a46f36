-- revision: 1
-- The position of the first of the last `most` events. Nothing else of them is read.
create or replace function porchlight.position_of_last_events(
        broker text, audiences text[], types text[], records text[], most bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    first bigint;
begin
    execute format('select min(position) from (%s) e',
            porchlight.events_query('e.position', true, types is not null, records is not null))
        into first using broker, audiences, 9223372036854775807, most, types, records;
    return first;
end
$$;
