-- revision: 1
-- The query that describes in the columns of the outbox what a statement did to a watched table. It is made
-- from the current columns, and made again when they have changed, so that no change of the schema makes it
-- wrong. Postgres plans it each time, for the actual number of rows. `$1` is the user who made the change, if the
-- transaction names one.
create or replace function porchlight.capture_statement(watch porchlight.watches, operation text,
        as_now boolean default false)
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    p    constant porchlight.capture_parts := porchlight.capture_parts(watch);
    -- The rows as they were written, or with `as_now` as they are now.
    news constant text := case when as_now
        then format('(select n.* from new_rows o join %s n on %s)', watch.watched, p.is_same)
        else 'new_rows' end;
    rows text;
begin
    if p.gone is not null then
        raise exception 'its % column is gone', p.gone using hint = 'Call porchlight.watch again.';
    end if;
    if operation = 'INSERT' then
        rows := format($sql$
            select 'created' as action, %s as broker, %s as audience, %s as id, %s as version,
                %s as actor, %s as data, null as changes, %s as private, %s as owner,
                null as previous, false as is_new_owner
            from %s n$sql$,
            p.broker, p.audience, p.id, p.version, p.actor, p.record, p.secrets, p.owner, news);
    elsif operation = 'DELETE' then
        -- The last writer is not the user who deletes it. The owner stays the last one.
        rows := format($sql$
            select 'deleted' as action, %s as broker, %s as audience, %s as id, %s as version,
                $1 as actor, null as data, null as changes, null as private, %s as owner,
                null as previous, false as is_new_owner
            from old_rows n$sql$,
            p.broker, p.audience, p.id, p.version, p.owner);
    else
        -- A row whose id changes is another record. A record that moves to another audience becomes two
        -- events: one for the audience that loses it, then one for the audience that gets it.
        rows := format($sql$
            select case side when 'loser' then 'deleted' when 'winner' then 'created'
                    else action end as action,
                case side when 'loser' then old_broker else broker end as broker,
                case side when 'loser' then old_audience else audience end as audience,
                id, version, actor,
                case side when 'loser' then '{"reason":"moved"}' else data end as data,
                case when side is null then nullif(changes, '{}') end as changes,
                case when side is distinct from 'loser' then nullif(private, '{}') end as private,
                case side when 'loser' then old_owner else owner end as owner,
                case when side is null then nullif(previous, '{}') end as previous,
                side is distinct from 'loser' and is_new_owner as is_new_owner
            from (
                select
                    case
                        when n.porchlight_is is null then 'deleted'
                        when o.porchlight_was is null then 'created'
                        when %1$s then 'moved'
                        when %2$s and not %3$s then 'archived'
                        when %3$s and not %2$s then 'restored'
                        else 'updated'
                    end as action,
                    case when n.porchlight_is then %4$s else %5$s end as broker,
                    case when n.porchlight_is then %6$s else %7$s end as audience,
                    case when n.porchlight_is then %8$s else %9$s end as id,
                    case when %1$s then %5$s end as old_broker,
                    case when %1$s then %7$s end as old_audience,
                    %10$s as version, %11$s as actor,
                    case when n.porchlight_is then %12$s else %18$s end as owner,
                    case when %1$s then %18$s end as old_owner,
                    case when n.porchlight_is and (o.porchlight_was is null or %1$s) then %13$s end
                        as data,
                    case when n.porchlight_is and o.porchlight_was then %14$s end as changes,
                    case when n.porchlight_is and (o.porchlight_was is null or %1$s) then %15$s
                        when n.porchlight_is then %16$s end as private,
                    case when n.porchlight_is and o.porchlight_was then %19$s end as previous,
                    n.porchlight_is and o.porchlight_was and (%20$s) is true as is_new_owner
                from (select *, true as porchlight_was from old_rows) o
                full join (select *, true as porchlight_is from %21$s r) n on %17$s
                offset 0
            ) c cross join lateral (
                select case when action = 'moved' then s end as side
                from (values ('loser'), ('winner')) as s (s)
                where action = 'moved' or s = 'winner'
            ) t
            -- A change of owner is an event even if the owner column is hidden.
            where action <> 'updated' or changes <> '{}' or is_new_owner$sql$,
            p.is_moved, p.is_archived, p.was_archived, p.broker, p.old_broker, p.audience,
            p.old_audience, p.id, p.old_id, p.version, p.actor, p.owner, p.record, p.changes,
            p.secrets, p.new_secrets, p.is_same, p.old_owner, p.previous, p.is_new_owner, news);
    end if;
    return format($sql$
        select broker as broker_id, audience, %L || action as type, %L as module, id as record_id,
            actor as user_id, version, case when fits then data end as data,
            case when fits then changes end as changes, case when fits then private end as private,
            owner as owner_id,
            -- Long old values are of no use in a sentence.
            case when octet_length(previous) <= 4096 then previous end as previous,
            coalesce(is_new_owner, false) as is_new_owner, not fits as is_truncated
        from (
            -- The default of `--event-bytes`.
            select *, coalesce(octet_length(data), 0) + coalesce(octet_length(changes), 0)
                + coalesce(octet_length(private), 0) <= 65536 as fits
            from (%s offset 0) r
            offset 0
        ) r$sql$, watch.singular || ':', watch.module, rows);
end
$$;
