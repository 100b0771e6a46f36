-- revision: 1
-- Stops watching a table. Returns whether it was watched.
create or replace function porchlight.unwatch(watched regclass)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
as $$
declare
    was_watched boolean;
    name        text;
begin
    delete from porchlight.watches w where w.watched = unwatch.watched;
    was_watched := found;
    for name in
        select t.tgname from pg_trigger t
        where t.tgrelid = unwatch.watched and t.tgfoid = 'porchlight.capture()'::regprocedure
    loop
        begin
            execute format('drop trigger %I on %s', name, watched);
        exception when insufficient_privilege then
            -- Only the table's owner may drop a trigger. Without the watch it does nothing.
        end;
    end loop;
    return was_watched;
end
$$;
