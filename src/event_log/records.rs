//! Whom the log tells of a record.

use sqlx::PgConnection;

use crate::event::Audience;
use crate::ids::{BrokerId, RecordPath};

/// Who was told of a record last, users by themselves aside; `None` where the log knows nothing.
pub async fn audience(
    connection: &mut PgConnection,
    broker: &BrokerId,
    record: &RecordPath,
) -> sqlx::Result<Option<Audience>> {
    audience_before(connection, broker, record, i64::MAX).await
}

/// Who was told of a record last before a position.
///
/// The end of a lock is told to those who were told of its beginning, which says nothing
/// about who may see the record by then.
pub async fn audience_before(
    connection: &mut PgConnection,
    broker: &BrokerId,
    record: &RecordPath,
    position: i64,
) -> sqlx::Result<Option<Audience>> {
    let audience = sqlx::query_scalar!(
        "select audience from porchlight.events
         where broker_id = $1 and module = $2 and record_id = $3 and audience not like 'user:%'
             and type not like '%:unlocked' and position < $4
         order by position desc limit 1",
        broker.as_str(),
        record.module.as_str(),
        record.id.as_str(),
        position,
    )
    .fetch_optional(connection)
    .await?;
    Ok(audience.and_then(|audience| audience.parse().ok()))
}
