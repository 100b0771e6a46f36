-- revision: 1
-- The table of a module, and the select list of a record, with the same expressions that capture uses.
create or replace function porchlight.record_list(module text, out records regclass, out list text)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    t     porchlight.record_tables;
    fresh porchlight.capture_parts;
begin
    select * into strict t from porchlight.record_tables r where r.module = record_list.module;
    if t.made_of is distinct from porchlight.record_words_made_of(t.records) then
        select p.* into fresh
        from porchlight.watches w cross join lateral porchlight.capture_parts(w) p
        where w.watched = t.records;
        -- The private fields of a table that is no longer watched stay private.
        if fresh.record is not null then
            t.told := fresh.record;
            t.secrets := fresh.secrets;
        end if;
    end if;
    records := t.records;
    list := format('n.id, (%s)::text, (%s)::text, n.team_id, n.owner_id, n.version,
        n.archived_at is not null, n.field_versions::text', t.told, t.secrets);
end
$$;
