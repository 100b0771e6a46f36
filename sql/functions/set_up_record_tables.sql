-- revision: 1
-- Sets up new tables of records: with the trigger that raises versions, and watched. Every migration calls
-- it, after it has applied the functions. A table that was set up once is left as it is.
create or replace function porchlight.set_up_record_tables()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    t porchlight.record_tables;
begin
    for t in select * from porchlight.record_tables r where r.told is null loop
        execute format('create or replace trigger keep_record before update on %s
            for each row execute function porchlight.keep_record()', t.records);
        perform porchlight.watch(t.records, module => t.module,
            broker_column => 'broker_id', team_column => 'team_id', owner_column => 'owner_id',
            version_column => 'version', archived_column => 'archived_at',
            actor_column => 'updated_by', private_columns => t.private_columns,
            hidden_columns => '{broker_id,updated_by,field_versions}');
    end loop;
    perform porchlight.remember_record_words();
end
$$;
