-- revision: 1
-- Makes the statements of all watched tables again. Every migration that applies functions calls it,
-- because the functions that make the statements may be among them.
create or replace function porchlight.remake_watches()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- Without the columns, but with the table, whose number says where column numbers are from.
    update porchlight.watches w set made_of = split_part(w.made_of, ':', 1) || ':';
    perform porchlight.renew_watches();
    perform porchlight.remember_record_words();
end
$$;
