-- revision: 1
-- Renews the epochs if this database is a copy of the one that wrote the logs: in another cluster or database, on
-- another timeline, or loaded from a dump. Returns whether it is.
create or replace function porchlight.renew_epochs_of_copy() returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- Where a provider does not tell, the other marks decide.
    here_system   text := 'unknown';
    here_timeline bigint := 0;
    here_database bigint;
    known         record;
    is_copy       boolean;
begin
    begin
        select c.system_identifier::text into here_system from pg_control_system() c;
    exception when others then null;
    end;
    begin
        here_timeline := coalesce(porchlight.timeline_here(), 0);
    exception when others then null;
    end;
    select d.oid::bigint into here_database from pg_database d where d.datname = current_database();
    insert into porchlight.origin (system_identifier, timeline, database_oid)
        values (here_system, here_timeline, here_database) on conflict do nothing;
    -- The origin of logs that are older than this row is unknown.
    is_copy := found and exists (select from porchlight.brokers where head > 0);
    select o.*, o.xmin::text::bigint as xid into known from porchlight.origin o for update;
    is_copy := is_copy or known.database_oid <> here_database
        or known.system_identifier <> here_system and 'unknown' not in (known.system_identifier, here_system)
        or known.timeline <> here_timeline and known.timeline > 0 and here_timeline > 0
        or coalesce(known.written_in <> known.xid, false);
    if is_copy then
        perform porchlight.renew_epochs();
    end if;
    if is_copy or known.written_in is null
        or (known.system_identifier, known.timeline) is distinct from (here_system, here_timeline)
    then
        update porchlight.origin set system_identifier = here_system, timeline = here_timeline,
            database_oid = here_database, written_in = (pg_current_xact_id()::text::numeric % 4294967296)::bigint;
    end if;
    return is_copy;
end
$$;
