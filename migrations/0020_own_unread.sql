-- Unread notifications that are for one user alone count for their brokerage.

-- Whether the notification is for this user alone.
alter table porchlight.notification_reads add column is_own boolean not null default false;

update porchlight.notification_reads r set is_own = true
from porchlight.notifications n
where n.broker_id = r.broker_id and n.id = r.id and n.audience = 'user:' || r.user_id;
