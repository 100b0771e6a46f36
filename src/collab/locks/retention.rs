//! Removes the rows of locks that nobody holds, in small steps.
//!
//! A fence must never be given twice. So the greatest removed fence of each brokerage is stored, and a
//! new row continues from there. Whoever grants a lock reads this floor after the new row is there, and
//! the row can only be there when the removal of the old one has been committed.

use std::time::Duration;

use crate::platform::Pool;

/// How long the row of a lock stays after its lock was free, unless its record is deleted.
pub const IDLE: Duration = Duration::from_hours(24);
/// Rows that one statement removes.
const STEP: i64 = 500;

/// Removes rows, and returns their number. Instances do not wait for each other.
pub async fn run(pool: &Pool) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let step = sqlx::query_scalar!(
            r#"with gone as (
                   delete from porchlight.locks where (broker_id, module, record_id) in (
                       select broker_id, module, record_id from porchlight.locks
                       where user_id is null
                           and free_since < statement_timestamp() - make_interval(secs => $1)
                       limit $2 for update skip locked)
                   returning broker_id, fence
               ), floors as (
                   insert into porchlight.fence_floors as f (broker_id, floor)
                   select broker_id, max(fence) from gone group by broker_id order by broker_id
                   on conflict (broker_id) do update set floor = greatest(f.floor, excluded.floor)
               )
               select count(*) as "n!" from gone"#,
            IDLE.as_secs_f64(),
            STEP,
        )
        .fetch_one(&mut *connection)
        .await?;
        removed += step.unsigned_abs();
        if step == 0 {
            return Ok(removed);
        }
    }
}
