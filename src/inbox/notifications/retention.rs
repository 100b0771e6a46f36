//! Removes old notifications, read or not, in small steps.

use std::time::Duration;

use crate::platform::{Pool, Transaction};

/// The most notifications that one transaction removes. Requests for notifications of the brokerage wait
/// for it.
const STEP: i64 = 500;

/// Removes notifications older than `age`, and returns their number. All instances may do it at once.
pub async fn run(pool: &Pool, age: Duration) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let broker = sqlx::query_scalar!(
            "select broker_id from porchlight.notifications
             where created_at < now() - make_interval(secs => $1) order by created_at limit 1",
            age.as_secs_f64(),
        );
        let Some(broker) = broker.fetch_optional(&mut *connection).await? else {
            return Ok(removed);
        };
        let mut transaction = Transaction::begin(&mut connection).await?;
        removed += step(&mut transaction, &broker, age).await?;
        transaction.commit().await?;
    }
}

/// Locks the sequence first, as every change does: nobody counts unread notifications meanwhile.
async fn step(transaction: &mut Transaction<'_>, broker: &str, age: Duration) -> sqlx::Result<u64> {
    sqlx::query!(
        "insert into porchlight.notification_books as b (broker_id, last_id, removals)
         values ($1, 0, 1)
         on conflict (broker_id) do update set removals = b.removals + 1",
        broker,
    )
    .execute(&mut **transaction)
    .await?;
    let removed = sqlx::query!(
        "delete from porchlight.notifications where broker_id = $1 and id in (
             select id from porchlight.notifications
             where broker_id = $1 and created_at < now() - make_interval(secs => $2)
             order by created_at limit $3)",
        broker,
        age.as_secs_f64(),
        STEP,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(removed.rows_affected())
}
