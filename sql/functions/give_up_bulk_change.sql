-- revision: 2
-- Sets a bulk change in the outbox aside, because its rows could not be described. It counts as lost: clients get a reset
-- later (`reset_after_loss`).
drop function if exists porchlight.give_up_bulk_change(text);
create or replace function porchlight.give_up_bulk_change(bulk_change_id bigint, reason text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- A staging table has no index.
    set enable_seqscan = on
as $$
declare
    bulk_change porchlight.outbox;
begin
    delete from porchlight.outbox o where o.id = bulk_change_id and o.line = 0 and o.operation is not null
    returning * into bulk_change;
    if bulk_change.id is null then
        return;
    end if;
    insert into porchlight.outbox (id, line, module, failure) overriding system value
    values (bulk_change.id, 1, bulk_change.module,
        format('%s of many rows could not be captured: %s', bulk_change.operation, reason));
    execute format('delete from %s where porchlight_bulk_change = $1', bulk_change.staging_table)
        using bulk_change.id;
    perform nextval('porchlight.lost_changes');
end
$$;
