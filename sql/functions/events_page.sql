-- revision: 1
-- A page of events: at most `most` events and `most_bytes` bytes, but at least one event. An empty row follows
-- if the page was cut. Rows are read one by one, so that nothing beyond the limit is read.
create or replace function porchlight.events_page(broker text, audiences text[], beyond bigint, backward boolean,
        types text[], records text[], most bigint, most_bytes bigint)
    returns setof porchlight.events
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    event porchlight.events;
    count bigint := 0;
    bytes bigint := 0;
begin
    for event in execute porchlight.events_query('e.*', backward, types is not null, records is not null)
        using broker, audiences, beyond, most + 1, types, records
    loop
        count := count + 1;
        bytes := bytes + porchlight.event_bytes(event.type, event.user_id, event.data, event.changes,
            event.private, null);
        if count > most or count > 1 and bytes > most_bytes then
            return next null::porchlight.events;
            return;
        end if;
        return next event;
    end loop;
end
$$;
