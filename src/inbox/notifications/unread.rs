//! The number of a user's unread notifications.
//!
//! The row of a user stores a count up to one notification. It is valid for a set of teams, and until
//! retention removes notifications of the brokerage. So a count looks at new notifications only, not at
//! all unread ones. Marking as read updates the stored count in the same transaction.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::Notifications;
use super::list::teams;
use super::sequence::{lock_readers, lock_shared};
use crate::identity::Caller;
use crate::platform::{BrokerId, Transaction, UserId};

impl Notifications {
    /// How many unread notifications the caller has.
    pub async fn unread(&self, caller: &Caller) -> sqlx::Result<i64> {
        let mut connection = self.pool.acquire().await?;
        count(&mut connection, caller).await
    }
}

pub(super) async fn count(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select unread as "unread!" from porchlight.count_unread($1, $2, $3)"#,
        caller.broker.as_str(),
        caller.user.as_str(),
        &teams(caller),
    )
    .fetch_one(connection)
    .await
}

/// Counts the caller's unread notifications up to `last` and stores the count. The sequence and the row
/// of the caller are locked.
pub(super) async fn store(
    connection: &mut PgConnection,
    caller: &Caller,
    last: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select porchlight.keep_unread($1, $2, $3, $4) as "unread!""#,
        caller.broker.as_str(),
        caller.user.as_str(),
        &teams(caller),
        last,
    )
    .fetch_one(connection)
    .await
}

/// Stores the caller's count for the next time: a list itself writes nothing.
pub(super) async fn catch_up(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<()> {
    let mut transaction = Transaction::begin(connection).await?;
    let last = lock_shared(&mut transaction, &caller.broker).await?;
    lock_readers(&mut transaction, &caller.broker, &[caller.user.as_str()]).await?;
    store(&mut transaction, caller, last).await?;
    transaction.commit().await
}

/// How many notifications of a user are unread.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownUnread {
    pub(super) count: i64,
    /// Not for a user who has never listed their notifications: those to their teams are not among them, because the
    /// teams are not known.
    pub(super) is_whole: bool,
}

/// The same for many users.
pub(super) async fn store_all(
    connection: &mut PgConnection,
    broker: &BrokerId,
    users: &[&str],
    last: i64,
) -> sqlx::Result<BTreeMap<UserId, KnownUnread>> {
    let rows = sqlx::query!(
        r#"select user_id, teams is not null as "is_whole!",
               porchlight.keep_unread(broker_id, user_id, coalesce(teams, '{}'), $3) as "unread!"
           from porchlight.notification_marks
           where broker_id = $1 and user_id = any($2)"#,
        broker.as_str(),
        users as &[&str],
        last,
    )
    .fetch_all(connection)
    .await?;
    let parsed = |id: &str| UserId::parse(id).ok();
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let unread = KnownUnread {
                count: row.unread,
                is_whole: row.is_whole,
            };
            Some((parsed(&row.user_id)?, unread))
        })
        .collect())
}

/// Marks an unread notification as read.
pub(super) async fn read_one(
    connection: &mut PgConnection,
    caller: &Caller,
    id: i64,
) -> sqlx::Result<()> {
    let (broker, user) = (caller.broker.as_str(), caller.user.as_str());
    sqlx::query!(
        "insert into porchlight.notification_reads (broker_id, id, user_id, is_own)
         select broker_id, id, $3, audience = 'user:' || $3 from porchlight.notifications
         where broker_id = $1 and id = $2",
        broker,
        id,
        user,
    )
    .execute(&mut *connection)
    .await?;
    // A count for other teams may not include it, so that count is not used again.
    sqlx::query!(
        "update porchlight.notification_marks
         set counted = counted - 1,
             counted_teams = case when counted_teams = $4 then counted_teams end
         where broker_id = $1 and user_id = $2 and counted_up_to >= $3",
        broker,
        user,
        id,
        &teams(caller),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks all ids up to `up_to` as read, and subtracts them from the stored count. It looks at each
/// notification once, because later calls start above it.
pub(super) async fn read_up_to(
    connection: &mut PgConnection,
    caller: &Caller,
    up_to: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update porchlight.notification_marks
         set read_up_to = greatest(read_up_to, $3),
             counted = case when $3 >= counted_up_to then 0 else counted
                 - porchlight.unread_between(broker_id, user_id, $4, read_up_to, $3) end,
             counted_teams = case when counted_teams = $4 then counted_teams end
         where broker_id = $1 and user_id = $2",
        caller.broker.as_str(),
        caller.user.as_str(),
        up_to,
        &teams(caller),
    )
    .execute(connection)
    .await
    .map(drop)
}
