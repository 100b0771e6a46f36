-- revision: 1
-- Whether the database was restored or promoted since `porchlight.origin` was written. Instances ask with every poll,
-- so it reads no file; `renew_epochs_of_copy` looks at more.
create or replace function porchlight.is_copy() returns boolean
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce((
        select o.written_in <> o.xmin::text::bigint
            or case when o.timeline > 0 then o.timeline <> porchlight.timeline_here() end
        from porchlight.origin o), false)
$$;
