-- revision: 1
-- Archives a record, or restores it.
create or replace function porchlight.archive_record(module text, broker text, id text, is_away boolean)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l record := porchlight.record_list(module);
begin
    return query execute format('with n as (
            update %1$s as n
            set archived_at = case when $3 then coalesce(n.archived_at, clock_timestamp()) end
            where n.broker_id = $1 and n.id = $2
            returning n.*
        ) select %2$s from n', l.records, l.list) using broker, id, is_away;
end
$$;
