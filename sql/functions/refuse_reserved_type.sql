-- revision: 1
-- Returns the type, or fails if it is reserved. A type is written by a programmer and does not come from a
-- row. So a wrong one fails at once, although the content of `data` never does.
create or replace function porchlight.refuse_reserved_type(type text)
    returns text
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    if porchlight.is_reserved_type(type) then
        raise exception 'the type % is reserved: only Porchlight itself publishes it', type
            using errcode = 'invalid_parameter_value',
                hint = 'Use a type of your own. Tasks, notifications, locks, heartbeats and signals have '
                    'endpoints, which publish their events.';
    end if;
    return type;
end
$$;
