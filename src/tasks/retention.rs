//! Retention: tasks that ended long ago go, in small steps, a workflow with its steps.

use std::time::Duration;

use crate::platform::Pool;

/// How many tasks (and workflows with all of their steps) one statement removes.
const STEP: i64 = 100;

/// Removes what ended longer ago than `age`; says how many went. Instances do not wait for
/// each other.
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
