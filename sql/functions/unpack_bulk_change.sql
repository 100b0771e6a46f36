-- revision: 4
-- Replaces a bulk change in the outbox by the rows that describe it, in the same place of the order. Returns whether it
-- was there. Instances of 0.2.0 name none: they mean the oldest.
drop function if exists porchlight.unpack_bulk_change();
create or replace function porchlight.unpack_bulk_change(
        bulk_change_id bigint default porchlight.first_bulk_change())
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
    set jit = off
    -- A staging table has no index.
    set enable_seqscan = on
as $$
declare
    bulk_change porchlight.outbox;
    query       text;
begin
    delete from porchlight.outbox o where o.id = bulk_change_id and o.line = 0 and o.operation is not null
    returning * into bulk_change;
    if bulk_change.id is null then
        return false;
    end if;
    select s.queries ->> bulk_change.operation into query
    from porchlight.bulk_staging s where s.staging_table = bulk_change.staging_table;
    begin
        execute format($sql$
            with old_rows as (select * from %1$s where porchlight_bulk_change = $2 and not porchlight_is_new),
                new_rows as (select * from %1$s where porchlight_bulk_change = $2 and porchlight_is_new)
            insert into porchlight.outbox (id, line, broker_id, audience, type, module, record_id, user_id,
                version, data, changes, private, owner_id, previous, is_new_owner, is_truncated)
            overriding system value
            select $2, row_number() over (), described.* from (%2$s) described$sql$,
            bulk_change.staging_table, query) using bulk_change.user_id, bulk_change.id;
    exception
        when lock_not_available or transaction_rollback then
            -- It can be described later.
            raise;
        when others then
            insert into porchlight.outbox (id, line, module, failure) overriding system value
            values (bulk_change.id, 1, bulk_change.module,
                format('%s of many rows could not be captured: %s (%s)',
                    bulk_change.operation, sqlerrm, sqlstate));
            -- Postgres lacked space or memory. The same may work later, but what comes after would wait for it. So it
            -- counts as lost: clients get a reset later (`reset_after_loss`).
            if sqlstate like '53%' then
                perform nextval('porchlight.lost_changes');
            end if;
    end;
    execute format('delete from %s where porchlight_bulk_change = $1', bulk_change.staging_table)
        using bulk_change.id;
    return true;
end
$$;
