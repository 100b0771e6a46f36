-- revision: 1
-- The events after `known` and before `first`, which a commit reads that begins at `first`; none if they are more than
-- `most`. It is volatile, so that it sees what was committed while its statement waited for the log.
create or replace function porchlight.events_before(broker text, first bigint, known bigint, most bigint, most_bytes bigint)
    returns setof porchlight.events
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if known < first - 1 and first - 1 - known <= most then
        return query select * from porchlight.events_between(broker, null, known, first - 1, most, most_bytes);
    end if;
end
$$;
