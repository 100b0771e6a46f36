//! How many tasks wait, run and fail.

use sqlx::PgConnection;

use crate::platform::BrokerId;

/// Tasks of each kind that are counted.
const MOST_COUNTED: i64 = 10_000;
/// Types that are listed.
const MOST_TYPES: i64 = 100;

/// The tasks of one type.
#[derive(Debug)]
pub struct TaskTypeFigures {
    pub task_type: String,
    /// Workers may claim them.
    pub waiting: i64,
    /// They wait for their next attempt.
    pub resting: i64,
    pub running: i64,
    pub failed_last_hour: i64,
    pub oldest_waiting_seconds: Option<f64>,
}

/// A brokerage with tasks that wait or have failed.
#[derive(Debug)]
pub struct TaskTrouble {
    pub broker: String,
    pub oldest_waiting_seconds: f64,
    pub failed_last_hour: i64,
}

/// The tasks of a brokerage by type. Each part of the query has an index.
pub async fn by_type(
    connection: &mut PgConnection,
    broker: &BrokerId,
) -> sqlx::Result<Vec<TaskTypeFigures>> {
    sqlx::query_as!(
        TaskTypeFigures,
        r#"with counted as (
             (select type, 'waiting' as what, created_at from porchlight.tasks
              where broker_id = $1 and state = 'queued' and not is_workflow and run_after is null
              limit $2)
             union all
             (select type, 'resting', created_at from porchlight.tasks
              where broker_id = $1 and run_after is not null limit $2)
             union all
             (select type, 'running', created_at from porchlight.tasks
              where broker_id = $1 and state in ('running', 'cancelling') and not is_workflow
              limit $2)
             union all
             (select type, 'failed', created_at from porchlight.tasks
              where broker_id = $1 and state = 'failed'
                  and ended_at > clock_timestamp() - interval '1 hour' limit $2))
         select type as "task_type!", count(*) filter (where what = 'waiting') as "waiting!",
             count(*) filter (where what = 'resting') as "resting!",
             count(*) filter (where what = 'running') as "running!",
             count(*) filter (where what = 'failed') as "failed_last_hour!",
             (extract(epoch from clock_timestamp()
                 - min(created_at) filter (where what = 'waiting')))::float8 as oldest_waiting_seconds
         from counted group by type order by type limit $3"#,
        broker.as_str(),
        MOST_COUNTED,
        MOST_TYPES,
    )
    .fetch_all(connection)
    .await
}

/// All brokerages with tasks that wait or have failed in the last hour.
pub async fn troubles(connection: &mut PgConnection) -> sqlx::Result<Vec<TaskTrouble>> {
    sqlx::query_as!(
        TaskTrouble,
        r#"with counted as (
             (select broker_id, extract(epoch from clock_timestamp() - created_at)::float8 as seconds,
                  0 as failed
              from porchlight.tasks
              where state = 'queued' and not is_workflow and run_after is null limit $1)
             union all
             (select broker_id, 0, 1 from porchlight.tasks
              where ended_at > clock_timestamp() - interval '1 hour' and state = 'failed' limit $1))
         select broker_id as "broker!", max(seconds) as "oldest_waiting_seconds!",
             sum(failed) as "failed_last_hour!"
         from counted group by broker_id"#,
        MOST_COUNTED,
    )
    .fetch_all(connection)
    .await
}
