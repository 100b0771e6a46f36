-- The answer to a write with a key, as JSON. Null in keys of published events, which have positions.
alter table porchlight.idempotency_keys add column answer json;
comment on column porchlight.idempotency_keys.first_position is
    'Of published events: the answer is `event_count` positions from here on.';

-- The answer to a posted notification is its id.
update porchlight.idempotency_keys set answer = to_json(first_position)
where operation = 'POST /notifications';

-- Tasks had keys of their own. From now on they use this table; the columns stay for instances of an
-- older version that run beside this one.
insert into porchlight.idempotency_keys
    (broker_id, principal, user_id, operation, key, body_hash, answer, created_at)
select t.broker_id, t.asked_as, t.user_id, 'POST /tasks', t.idempotency_key, t.body_hash,
    to_json(t.id), t.created_at
from porchlight.tasks t
where t.idempotency_key is not null and t.created_at > now() - interval '24 hours'
on conflict do nothing;
