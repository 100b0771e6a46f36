-- revision: 1
-- Stores the expressions for records, if they have changed.
create or replace function porchlight.remember_record_words()
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    update porchlight.record_tables t
    set told = p.record, secrets = p.secrets, made_of = porchlight.record_words_made_of(t.records)
    from porchlight.watches w cross join lateral porchlight.capture_parts(w) p
    where w.watched = t.records
        and t.made_of is distinct from porchlight.record_words_made_of(t.records)
$$;
