//! Old notifications go, read or not, in small steps.

use std::time::Duration;

use crate::database::Pool;

/// How many one statement removes.
const STEP: i64 = 1_000;

/// Removes what is older; says how many went. Any number of instances may do it at once.
pub async fn run(pool: &Pool, age: Duration) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let step = sqlx::query!(
            "delete from porchlight.notifications where (broker_id, id) in (
                 select broker_id, id from porchlight.notifications
                 where created_at < now() - make_interval(secs => $1)
                 order by broker_id, id limit $2 for update skip locked)",
            age.as_secs_f64(),
            STEP,
        )
        .execute(&mut *connection)
        .await?
        .rows_affected();
        removed += step;
        if step == 0 {
            return Ok(removed);
        }
    }
}
