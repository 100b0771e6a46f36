-- revision: 1
-- How many bytes an event takes in an answer and in the memory of its reader. It is at least the size of
-- its JSON.
create or replace function porchlight.event_bytes(
        event_type text, user_id text, data json, changes json, private json, previous json)
    returns bigint
    language sql
    immutable
as $$
    -- A character of a user id can become two. The rest of an event has a limited length.
    select 512 + 2 * octet_length(event_type) + 2 * coalesce(octet_length(user_id), 0)
        + coalesce(octet_length(data::text), 0)::bigint + coalesce(octet_length(changes::text), 0)
        + coalesce(octet_length(private::text), 0) + coalesce(octet_length(previous::text), 0)
$$;
