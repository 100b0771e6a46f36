-- revision: 1
-- The oldest bulk change in the outbox. The relay asks often: as in `is_anything_waiting`.
create or replace function porchlight.first_bulk_change()
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
begin
    return (select id from porchlight.outbox where operation is not null order by id limit 1);
end
$$;
