-- revision: 3
-- Makes the statements of watched tables again if the columns have changed, or the key. Until then, each write makes them
-- for itself, with the key as it was.
create or replace function porchlight.renew_watches()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    watch porchlight.watches;
begin
    for watch in
        select * from porchlight.watches w
        where (w.made_of is distinct from porchlight.made_of(w.watched)
                or w.is_id_per_broker <> porchlight.is_id_per_broker(w.watched))
            and exists (select from pg_class c where c.oid = w.watched)
        for update skip locked
    loop
        begin
            -- In a restored table, columns are known by name. A missing column has the number 0.
            update porchlight.watched_columns c
            set attnum = coalesce((
                select a.attnum from pg_attribute a
                where a.attrelid = c.watched and a.attname = c.name and not a.attisdropped), 0)
            where c.watched = watch.watched and not porchlight.are_numbers_known(watch);
            update porchlight.watches w
            set is_id_per_broker = coalesce(porchlight.is_id_per_broker(w.watched), w.is_id_per_broker)
            where w.watched = watch.watched returning * into watch;
            update porchlight.watches w
            set made_of = porchlight.made_of(w.watched),
                -- The same text may describe columns of other types, which need another staging table.
                statements = jsonb_build_object('made_of', porchlight.made_of(w.watched)) || (
                    select jsonb_object_agg(operation, porchlight.capture_statement(watch, operation))
                    from unnest('{INSERT,UPDATE,DELETE}'::text[]) as o(operation))
            where w.watched = watch.watched;
        exception when others then
            -- A column is gone. Each write records that as a failure, and succeeds.
        end;
    end loop;
end
$$;
