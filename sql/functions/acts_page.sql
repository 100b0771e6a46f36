-- revision: 1
-- A page of the activity feed: what people did, newest first. If a record is given, its events are
-- found by the record, because they are few; otherwise events are found by audience. An unlock counts
-- only after a takeover. The end of a task counts only in the event for its user (the event for the
-- worker begins with a fence), and not if the task is a step of a workflow.
create or replace function porchlight.acts_page(broker text, audiences text[], before bigint, types text[],
        module text, record_id text, user_id text, most bigint, most_bytes bigint)
    returns setof porchlight.events
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    event porchlight.events;
    count bigint := 0;
    bytes bigint := 0;
begin
    for event in execute format('select e.* from %s
                and e.position < $3 and e.type = any ($4) %s %s
                and (e.type not like ''%%:unlocked''
                    or strpos(e.data::text, ''"reason":"taken_over"'') > 0)
                and (e.type not like ''ai:task:%%'' or e.audience like ''user:%%''
                    and strpos(e.data::text, ''"parentId":"'') = 0
                    and e.data::text not like ''{"fence":%%'')
            order by e.position desc limit $8
        ) e order by e.position desc limit $8',
        case when record_id is not null then
            '(select * from porchlight.events e
                where e.broker_id = $1 and e.audience = any ($2) and e.record_id = $6'
        else
            'unnest($2) as mine(audience) cross join lateral (
                select * from porchlight.events e
                where e.broker_id = $1 and e.audience = mine.audience'
        end,
        case when module is not null then 'and e.module = $5' end,
        case when user_id is not null then 'and e.user_id = $7' end)
        using broker, audiences, before, types, module, record_id, user_id, most + 1
    loop
        count := count + 1;
        bytes := bytes + porchlight.event_bytes(event.type, event.user_id, event.data, event.changes,
            event.private, event.previous);
        if count > most or count > 1 and bytes > most_bytes then
            return next null::porchlight.events;
            return;
        end if;
        return next event;
    end loop;
end
$$;
