//! The position that the notifier has reached in each log.

use sqlx::PgConnection;

use crate::platform::BrokerId;

#[derive(Clone, Copy, Debug)]
pub(super) struct NotifierPosition {
    pub(super) position: i64,
    pub(super) head: i64,
}

/// Locks the position until the transaction ends; `None` if another transaction has locked it.
pub(super) async fn lock(
    connection: &mut PgConnection,
    broker: &BrokerId,
) -> sqlx::Result<Option<NotifierPosition>> {
    let position = sqlx::query_scalar!(
        "select position from porchlight.notified where broker_id = $1 for update skip locked",
        broker.as_str(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let position = match position {
        Some(position) => Some(position),
        // A new log, or one that another instance works on.
        None => {
            sqlx::query_scalar!(
                "insert into porchlight.notified (broker_id, position) values ($1, 0)
                 on conflict do nothing returning position",
                broker.as_str(),
            )
            .fetch_optional(&mut *connection)
            .await?
        }
    };
    let Some(position) = position else {
        return Ok(None);
    };
    // After locking: an earlier query might return an older head.
    let head = sqlx::query_scalar!(
        "select head from porchlight.brokers where broker_id = $1",
        broker.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    let head = head.unwrap_or(0);
    // A shorter log is another log. Nobody is notified of its old events.
    let position = position.min(head);
    Ok(Some(NotifierPosition { position, head }))
}

/// Moves a locked position.
pub(super) async fn advance(
    connection: &mut PgConnection,
    broker: &BrokerId,
    position: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update porchlight.notified set position = $2 where broker_id = $1",
        broker.as_str(),
        position,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(super) async fn skip_one(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<()> {
    sqlx::query!(
        "update porchlight.notified n set position = n.position + 1
         from porchlight.brokers b
         where b.broker_id = n.broker_id and n.broker_id = $1 and n.position < b.head",
        broker.as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The logs that have events after their position.
pub(super) async fn behind(
    connection: &mut PgConnection,
    most: i64,
) -> sqlx::Result<Vec<BrokerId>> {
    let ids = sqlx::query_scalar!(
        "select b.broker_id from porchlight.brokers b
         left join porchlight.notified n using (broker_id)
         where b.head > coalesce(n.position, 0) limit $1",
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids
        .iter()
        .filter_map(|id| BrokerId::parse(id).ok())
        .collect())
}
