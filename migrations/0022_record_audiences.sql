-- Who may see the records whose last event retention has removed.

-- The newest event of a record decides who may see it. When retention removes the last event that decides, its
-- audience stays here. A record without a row and without events is visible to the whole brokerage, so a row
-- is only for a narrower audience.
create table porchlight.record_audiences (
    broker_id text not null,
    module    text not null,
    record_id text not null,
    audience  text not null,
    -- Of the removed event. Any event that the log still has is newer.
    position  bigint not null,
    primary key (broker_id, module, record_id),
    constraint audience_is_narrow check (audience = 'workers' or audience ~ '^team:.')
);

-- Records of our own that have lost their last event before: their tables know the team.
do $$
declare
    records regclass;
    module  text;
begin
    for records, module in select t.records, t.module from porchlight.record_tables t loop
        execute format($sql$
            insert into porchlight.record_audiences (broker_id, module, record_id, audience, position)
            select r.broker_id, %1$L, r.id, 'team:' || r.team_id, b.horizon
            from %2$s r join porchlight.brokers b using (broker_id)
            where r.team_id is not null and b.horizon > 0 and not exists (
                select from porchlight.events e
                where e.broker_id = r.broker_id and e.module = %1$L and e.record_id = r.id
                    and e.audience not like 'user:%%' and e.type not like '%%:unlocked')$sql$,
            module, records);
    end loop;
end
$$;

-- The locks, each with the audience that may see its record now (the rule of `log::records`): a record may move
-- to another audience while it is locked.
create view porchlight.seen_locks as
select l.*, coalesce(
        (select e.audience from porchlight.events e
         where e.broker_id = l.broker_id and e.module = l.module and e.record_id = l.record_id
             and e.audience not like 'user:%' and e.type not like '%:unlocked'
         order by e.position desc limit 1),
        (select k.audience from porchlight.record_audiences k
         where k.broker_id = l.broker_id and k.module = l.module and k.record_id = l.record_id),
        'broker') as seen_by
from porchlight.locks l;
