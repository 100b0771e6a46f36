//! The ids of a brokerage's notifications, in one row. A transaction that creates or reads
//! notifications locks this row first, then the rows of the readers, and last the log.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::platform::BrokerId;

/// The ids of new notifications, from `first` on.
pub(super) struct ReservedIds {
    pub(super) first: i64,
    pub(super) now: OffsetDateTime,
}

/// Locks the sequence for a reader, and returns the last id, or 0.
pub(super) async fn lock_shared(
    connection: &mut PgConnection,
    broker: &BrokerId,
) -> sqlx::Result<i64> {
    if let Some(last) = lock_row(connection, broker).await? {
        return Ok(last);
    }
    // Without a row there is nothing to lock, and the first notification could come at any moment.
    sqlx::query!(
        "insert into porchlight.notification_books (broker_id, last_id) values ($1, 0)
         on conflict do nothing",
        broker.as_str(),
    )
    .execute(&mut *connection)
    .await?;
    Ok(lock_row(connection, broker).await?.unwrap_or(0))
}

async fn lock_row(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select last_id from porchlight.notification_books where broker_id = $1 for share",
        broker.as_str(),
    )
    .fetch_optional(connection)
    .await
}

/// Locks the rows of users, in order. Until the transaction ends, no other one changes or publishes their
/// number of unread notifications.
pub(super) async fn lock_readers(
    connection: &mut PgConnection,
    broker: &BrokerId,
    users: &[&str],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.notification_marks (broker_id, user_id)
         select $1, user_id from unnest($2::text[]) as u(user_id) order by user_id
         on conflict do nothing",
        broker.as_str(),
        users as &[&str],
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "select from porchlight.notification_marks where broker_id = $1 and user_id = any($2)
         order by user_id for no key update",
        broker.as_str(),
        users as &[&str],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks the sequence and reserves `count` ids.
pub(super) async fn reserve_ids(
    connection: &mut PgConnection,
    broker: &BrokerId,
    count: usize,
) -> sqlx::Result<ReservedIds> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row = sqlx::query!(
        r#"insert into porchlight.notification_books as b (broker_id, last_id) values ($1, $2)
           on conflict (broker_id) do update set last_id = b.last_id + excluded.last_id
           returning last_id, clock_timestamp() as "now!""#,
        broker.as_str(),
        count,
    )
    .fetch_one(connection)
    .await?;
    Ok(ReservedIds {
        first: row.last_id - count + 1,
        now: row.now,
    })
}
