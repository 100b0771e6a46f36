-- revision: 1
-- A page of events with positions in `(after, upto]`, for these audiences, or for all if `audiences` is null.
-- It is limited and cut like the result of `events_page`.
create or replace function porchlight.events_between(broker text, audiences text[], after bigint, upto bigint,
        most bigint, most_bytes bigint)
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
    for event in
        select * from porchlight.events e
        where e.broker_id = broker and e.position > after and e.position <= upto
            and (audiences is null or e.audience = any (audiences))
        order by e.position limit most + 1
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
