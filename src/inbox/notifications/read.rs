//! Marking notifications as read, on all devices of the user.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::list::{audiences, remember_teams, teams};
use super::sequence::{lock_readers, lock_shared};
use super::{NotificationError, Notifications, unread};
use crate::identity::Caller;
use crate::log::{Answered, Audience, IdempotencyKey, NewEvent};
use crate::log::{claim_key, store_answer};
use crate::platform::{EventType, Transaction};

/// The number of unread notifications after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnreadCount(pub i64);

impl Notifications {
    /// Marks one as read, once per key.
    pub async fn read(
        &self,
        caller: &Caller,
        id: i64,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<UnreadCount>, NotificationError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        let last = lock(&mut transaction, caller).await?;
        let is_read = is_read(&mut transaction, caller, id).await?;
        let is_read = is_read.ok_or(NotificationError::Unknown(id))?;
        let before = unread::store(&mut transaction, caller, last).await?;
        if is_read {
            let answered = store_answer(&mut transaction, key, UnreadCount(before)).await?;
            transaction.commit().await?;
            return Ok(answered);
        }
        unread::read_one(&mut transaction, caller, id).await?;
        let unread = before - 1;
        let answered = store_answer(&mut transaction, key, UnreadCount(unread)).await?;
        let data = json!({"ids": [id], "unread": unread});
        self.publish(transaction, caller, &data).await?;
        Ok(answered)
    }

    /// Marks all ids up to `up_to` as read, or all that exist, once per key.
    pub async fn read_all(
        &self,
        caller: &Caller,
        up_to: Option<i64>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<UnreadCount>, NotificationError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        let last = lock(&mut transaction, caller).await?;
        let up_to = up_to.map_or(last, |up_to| up_to.min(last));
        let before = unread::store(&mut transaction, caller, last).await?;
        unread::read_up_to(&mut transaction, caller, up_to).await?;
        let unread = unread::count(&mut transaction, caller).await?;
        let answered = store_answer(&mut transaction, key, UnreadCount(unread)).await?;
        if unread == before {
            transaction.commit().await?;
        } else {
            let data = json!({"upTo": up_to, "unread": unread});
            self.publish(transaction, caller, &data).await?;
        }
        Ok(answered)
    }

    async fn publish(
        &self,
        transaction: Transaction<'_>,
        caller: &Caller,
        data: &Value,
    ) -> Result<(), NotificationError> {
        let event_type = EventType::parse("notification:read").expect("a short name");
        let audience = Audience::User(caller.user.clone());
        let event = NewEvent::new(audience, event_type)
            .by(&caller.user)
            .with(data);
        let read = self
            .committer
            .conclude(transaction, &caller.broker, vec![event]);
        Ok(read.await?)
    }
}

/// Returns the last id. Until the transaction ends, nobody creates notifications of the brokerage, and
/// other requests of the user wait.
async fn lock(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<i64> {
    let last = lock_shared(connection, &caller.broker).await?;
    lock_readers(connection, &caller.broker, &[caller.user.as_str()]).await?;
    remember_teams(connection, caller, &teams(caller)).await?;
    Ok(last)
}

/// `None` for a notification that the caller may not see.
async fn is_read(
    connection: &mut PgConnection,
    caller: &Caller,
    id: i64,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"select (n.id <= m.read_up_to or exists (
               select from porchlight.notification_reads r
               where r.broker_id = n.broker_id and r.id = n.id and r.user_id = m.user_id
           )) as "is_read!"
           from porchlight.notifications n
           join porchlight.notification_marks m on m.broker_id = n.broker_id and m.user_id = $2
           where n.broker_id = $1 and n.id = $3 and n.audience = any($4)"#,
        caller.broker.as_str(),
        caller.user.as_str(),
        id,
        &audiences(caller),
    )
    .fetch_optional(connection)
    .await
}
