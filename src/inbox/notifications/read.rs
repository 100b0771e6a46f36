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

/// What is true after the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedRead {
    /// The number of unread notifications.
    pub unread: i64,
    /// Where the event is that tells of it; `None` if nothing has changed.
    pub position: Option<String>,
}

impl Notifications {
    /// Marks one as read, once per key.
    pub async fn read(
        &self,
        caller: &Caller,
        id: i64,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<MarkedRead>, NotificationError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        let last = lock(&mut transaction, caller).await?;
        let is_read = is_read(&mut transaction, caller, id).await?;
        let is_read = is_read.ok_or(NotificationError::Unknown(id))?;
        let before = unread::store(&mut transaction, caller, last).await?;
        if is_read {
            return unchanged(transaction, key, before).await;
        }
        unread::read_one(&mut transaction, caller, id).await?;
        let unread = before - 1;
        let data = json!({"ids": [id], "unread": unread});
        let change = ReadChange {
            caller,
            key,
            unread,
        };
        self.publish(transaction, change, &data).await
    }

    /// Marks all ids up to `up_to` as read, or all that exist, once per key.
    pub async fn read_all(
        &self,
        caller: &Caller,
        up_to: Option<i64>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<MarkedRead>, NotificationError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        let last = lock(&mut transaction, caller).await?;
        let up_to = up_to.map_or(last, |up_to| up_to.min(last));
        let before = unread::store(&mut transaction, caller, last).await?;
        unread::read_up_to(&mut transaction, caller, up_to).await?;
        let unread = unread::count(&mut transaction, caller).await?;
        if unread == before {
            return unchanged(transaction, key, unread).await;
        }
        let data = json!({"upTo": up_to, "unread": unread});
        let change = ReadChange {
            caller,
            key,
            unread,
        };
        self.publish(transaction, change, &data).await
    }

    /// Appends the event, commits, and answers with its position.
    async fn publish(
        &self,
        mut transaction: Transaction<'_>,
        change: ReadChange<'_>,
        data: &Value,
    ) -> Result<Answered<MarkedRead>, NotificationError> {
        let ReadChange {
            caller,
            key,
            unread,
        } = change;
        let event_type = EventType::parse("notification:read").expect("a short name");
        let audience = Audience::User(caller.user.clone());
        let event = NewEvent::new(audience, event_type)
            .by(&caller.user)
            .with(data);
        // This counts the key. Later, it would wait for other counts while the log is locked.
        let answer = MarkedRead {
            unread,
            position: None,
        };
        store_answer(&mut transaction, key, answer).await?;
        let pending = self
            .committer
            .append(&mut transaction, &caller.broker, vec![event])
            .await?;
        let position = pending
            .log()
            .map(|log| log.epoch.at(log.head()).to_string());
        let answer = MarkedRead { unread, position };
        // The position is not known earlier, so a key costs one statement while the log is locked.
        let answered = store_answer(&mut transaction, key, answer).await?;
        self.committer.commit(transaction, pending).await?;
        Ok(answered)
    }
}

/// Who has marked something as read, and how much is left.
struct ReadChange<'a> {
    caller: &'a Caller,
    key: Option<&'a IdempotencyKey>,
    unread: i64,
}

async fn unchanged(
    mut transaction: Transaction<'_>,
    key: Option<&IdempotencyKey>,
    unread: i64,
) -> Result<Answered<MarkedRead>, NotificationError> {
    let position = None;
    let answered = store_answer(&mut transaction, key, MarkedRead { unread, position }).await?;
    transaction.commit().await?;
    Ok(answered)
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
