-- revision: 1
-- The text of a query for events of the brokerage `$1` for the audiences `$2`, beyond the position `$3`,
-- at most `$4`. `$5` has patterns of types. `$6` has records (`module/id`), each of which is looked up
-- separately. The text contains only the filters that are used, so that Postgres finds the right index.
create or replace function porchlight.events_query(
        columns text, backward boolean, has_types boolean, has_records boolean)
    returns text
    language sql
    immutable
as $$
    select format('select %1$s from %2$s
                and e.position %3$s $3 %4$s
            order by e.position %5$s limit $4
        ) e order by e.position %5$s limit $4',
        columns,
        case when has_records then
            '(select distinct split_part(path, ''/'', 1) as module, split_part(path, ''/'', 2) as id
                from unnest($6) as asked(path)) as record
            cross join lateral (
                select * from porchlight.events e
                where e.broker_id = $1 and e.module = record.module and e.record_id = record.id
                    and e.audience = any ($2)'
        else
            'unnest($2) as mine(audience)
            cross join lateral (
                select * from porchlight.events e
                where e.broker_id = $1 and e.audience = mine.audience'
        end,
        case when backward then '<' else '>' end,
        case when has_types then 'and e.type like any ($5)' end,
        case when backward then 'desc' else 'asc' end)
$$;
