-- revision: 1
-- How many notifications of a reader in `(after, upto]` are unread, without regard to marks.
create or replace function porchlight.unread_between(
        broker text, reader text, teams text[], after bigint, upto bigint)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select count(*) from porchlight.notifications n
    where n.broker_id = broker and n.audience = any (array['broker', 'user:' || reader] || teams)
        and n.id > after and n.id <= upto
        and not exists (
            select from porchlight.notification_reads r
            where r.broker_id = broker and r.user_id = reader and r.id > after and r.id = n.id)
$$;
