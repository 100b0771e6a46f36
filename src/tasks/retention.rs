//! Removes tasks that ended long ago, in small steps. A workflow goes with its steps.

use std::time::Duration;

use crate::platform::Pool;

/// Tasks that one statement removes. A workflow counts as one.
const STEP: i64 = 100;

/// Removes tasks that ended longer ago than `age`, and returns their number. Instances do not wait
/// for each other.
pub async fn run(pool: &Pool, age: Duration) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let step = sqlx::query!(
            "delete from porchlight.tasks where (broker_id, id) in (
                 select broker_id, id from porchlight.tasks
                 where ended_at < now() - make_interval(secs => $1) and parent_id is null
                 limit $2 for update skip locked)",
            age.as_secs_f64(),
            STEP,
        )
        .execute(&mut *connection)
        .await?;
        removed += step.rows_affected();
        if step.rows_affected() == 0 {
            return Ok(removed);
        }
    }
}
