-- revision: 1
-- Removes from the cache of every instance the brokerage of a user or a team. Call it in the transaction
-- that changes the answer of PORCHLIGHT_BROKER_QUERY; it takes effect on commit. With a user and a
-- team, it removes what was looked up for both together. Without arguments, it removes everything.
create or replace function porchlight.forget_broker(user_id text default null, team_id text default null)
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    -- No id is longer, and a notification must be shorter than 8,000 bytes.
    select pg_notify('porchlight_brokers',
        json_build_object('user', forget_broker.user_id, 'team', forget_broker.team_id)::text)
    where coalesce(octet_length(forget_broker.user_id), 0) <= 128
        and coalesce(octet_length(forget_broker.team_id), 0) <= 64
$$;
