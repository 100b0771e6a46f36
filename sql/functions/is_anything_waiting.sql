-- revision: 1
-- Whether the outbox has rows. The relay asks often. A sequential scan would read dead rows, and Postgres
-- could choose it while the table is empty, so it is disabled.
create or replace function porchlight.is_anything_waiting()
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
begin
    return (select id from porchlight.outbox order by id limit 1) is not null;
end
$$;
