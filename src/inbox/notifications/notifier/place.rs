//! Up to where the notifier has read each log.

use sqlx::PgConnection;

use crate::platform::BrokerId;

/// Where the notifier is in a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotifierPosition {
    /// All up to here was read.
    pub(super) position: i64,
    pub(super) head: i64,
}

/// Takes the place, which is the transaction's to its end; `None` where another one has it.
pub(super) async fn take(
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
        // A new log, read from its beginning, or one that another instance is at.
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
    // Once the place is ours: before, the head might be an older one.
    let head = sqlx::query_scalar!(
        "select head from porchlight.brokers where broker_id = $1",
        broker.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    let head = head.unwrap_or(0);
    // A log that is shorter than it was is another one, and nobody asked to be told of it.
    let position = position.min(head);
    Ok(Some(NotifierPosition { position, head }))
}

/// Moves a place that was taken.
pub(super) async fn move_to(
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

pub(super) async fn pass_one(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<()> {
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

/// Logs that have grown since they were read.
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
