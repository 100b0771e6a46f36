-- revision: 1
-- Drops staging tables that belong to no watch and contain no bulk change. Skips those in use.
create or replace function porchlight.drop_bulk_staging()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    unused regclass;
begin
    for unused in select s.staging_table from porchlight.bulk_staging s where s.watched is null loop
        begin
            execute format('lock table %s in access exclusive mode nowait', unused);
            if not exists (select from porchlight.outbox o where o.staging_table = unused) then
                execute format('drop table %s', unused);
                delete from porchlight.bulk_staging s where s.staging_table = unused;
            end if;
        exception when lock_not_available then
            null;
        end;
    end loop;
end
$$;
