-- revision: 2
-- The watched tables, their configuration, and what prevents one from being captured.
create or replace function porchlight.watched()
    returns table (watched regclass, module text, singular text, broker text, columns jsonb,
        camel_case boolean, problem text)
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select w.watched, w.module, w.singular, w.broker,
        (select jsonb_object_agg(role, names) from (
            select c.role, jsonb_agg(c.name order by c.attnum) as names
            from porchlight.watched_columns c where c.watched = w.watched group by c.role
        ) r),
        w.camel_case,
        case
            when not exists (select from pg_class c where c.oid = w.watched) then 'the table is gone'
            when (porchlight.capture_parts(w)).gone is not null
                then format('the %s column is gone', (porchlight.capture_parts(w)).gone)
            when porchlight.is_id_per_broker(w.watched) is null then 'its ids are no longer unique'
            when (select count(*) from pg_trigger t
                  where t.tgrelid = w.watched and t.tgenabled <> 'D'
                      and t.tgfoid = 'porchlight.capture()'::regprocedure) < 3
                then 'a trigger is missing or disabled'
        end
    from porchlight.watches w order by w.module, w.watched::text
$$;
