//! Reading: on one device, and so on all.

use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};

use super::list::{audiences, remember_teams, teams};
use super::sequence::{hold, take_readers};
use super::{NotificationError, Notifications, unread};
use crate::identity::Caller;
use crate::log::{Audience, NewEvent};
use crate::platform::EventType;

/// How many are unread after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread(pub i64);

impl Notifications {
    /// The caller has read this one.
    pub async fn read(&self, caller: &Caller, id: i64) -> Result<Unread, NotificationError> {
        let (mut transaction, last) = self.open(caller).await?;
        let is_read = is_read(&mut transaction, caller, id).await?;
        let is_read = is_read.ok_or(NotificationError::Unknown(id))?;
        let before = unread::keep(&mut transaction, caller, last).await?;
        if is_read {
            transaction.commit().await?;
            return Ok(Unread(before));
        }
        unread::read_one(&mut transaction, caller, id).await?;
        let unread = before - 1;
        let data = json!({"ids": [id], "unread": unread});
        self.tell(transaction, caller, &data).await?;
        Ok(Unread(unread))
    }

    /// The caller has read all up to this one, or all that there are.
    pub async fn read_all(
        &self,
        caller: &Caller,
        up_to: Option<i64>,
    ) -> Result<Unread, NotificationError> {
        let (mut transaction, last) = self.open(caller).await?;
        let up_to = up_to.map_or(last, |up_to| up_to.min(last));
        let before = unread::keep(&mut transaction, caller, last).await?;
        unread::read_up_to(&mut transaction, caller, up_to).await?;
        let unread = unread::count(&mut transaction, caller).await?;
        if unread == before {
            transaction.commit().await?;
        } else {
            let data = json!({"upTo": up_to, "unread": unread});
            self.tell(transaction, caller, &data).await?;
        }
        Ok(Unread(unread))
    }

    /// Nobody makes new ones meanwhile, and the caller's other devices wait.
    async fn open(
        &self,
        caller: &Caller,
    ) -> Result<(Transaction<'_, Postgres>, i64), NotificationError> {
        let mut transaction = self.pool.begin().await?;
        let last = hold(&mut transaction, &caller.broker).await?;
        take_readers(&mut transaction, &caller.broker, &[caller.user.as_str()]).await?;
        remember_teams(&mut transaction, caller, &teams(caller)).await?;
        Ok((transaction, last))
    }

    async fn tell(
        &self,
        transaction: Transaction<'_, Postgres>,
        caller: &Caller,
        data: &Value,
    ) -> Result<(), NotificationError> {
        let event_type = EventType::parse("notification:read").expect("a short name");
        let audience = Audience::User(caller.user.clone());
        let event = NewEvent::new(audience, event_type)
            .by(&caller.user)
            .with(data);
        let told = self
            .committer
            .conclude(transaction, &caller.broker, vec![event]);
        Ok(told.await?)
    }
}

/// Whether it is read; `None` where it is none of the caller's.
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
