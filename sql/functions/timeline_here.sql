-- revision: 1
-- The timeline on which this server writes. A restore to a point in time and the promotion of a replica begin a
-- new one. Null on a replica. Some providers of databases do not allow the call.
create or replace function porchlight.timeline_here() returns bigint
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    select case when not pg_is_in_recovery()
        then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint end
$$;
