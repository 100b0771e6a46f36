-- revision: 1
-- What the expressions for a record depend on: the watch of its table, and its columns.
create or replace function porchlight.record_words_made_of(records regclass)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select w.created_at || w.xmin::text || porchlight.made_of(records)
    from porchlight.watches w where w.watched = records
$$;
