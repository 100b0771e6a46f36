-- revision: 1
-- The trigger on tables of records: raises the version of a record that changes, and ignores an update that
-- changes nothing. Ids, versions and times cannot be written.
create or replace function porchlight.keep_record()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    changed text[];
begin
    new.broker_id := old.broker_id;
    new.id := old.id;
    new.version := old.version;
    new.created_at := old.created_at;
    new.updated_at := old.updated_at;
    new.field_versions := old.field_versions;
    select array_agg(n.key) into changed
    from jsonb_each(to_jsonb(new)) n join jsonb_each(to_jsonb(old)) o using (key)
    where n.value is distinct from o.value and n.key <> 'updated_by';
    if changed is null then
        return old;
    end if;
    if new.updated_by is not distinct from old.updated_by then
        new.updated_by := nullif(current_setting('porchlight.user_id', true), '');
    end if;
    new.version := old.version + 1;
    new.updated_at := clock_timestamp();
    new.field_versions := old.field_versions
        || (select jsonb_object_agg(name, new.version) from unnest(changed) as c(name));
    return new;
end
$$;
