//! Removes tasks that ended long ago, in small steps. A workflow goes with its steps.

use std::time::Duration;

use sqlx::PgConnection;

use crate::platform::Pool;

/// Tasks that one step removes. A workflow counts as one.
const TASKS: i64 = 100;
/// Rows of output and of faults that one statement removes: a task may have a million, and a statement that takes too
/// long is undone.
const ROWS: i64 = 10_000;

/// Tasks that ended long ago, with the steps of workflows.
struct OldTasks {
    brokers: Vec<String>,
    ids: Vec<String>,
}

/// Removes tasks that ended longer ago than `age`, and returns their number. Instances do not wait
/// for each other.
pub async fn run(pool: &Pool, age: Duration) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let old = find(&mut connection, age).await?;
        while remove_output(&mut connection, &old).await? > 0 {}
        while remove_faults(&mut connection, &old).await? > 0 {}
        let step = remove(&mut connection, &old).await?;
        removed += step;
        if step == 0 {
            return Ok(removed);
        }
    }
}

async fn find(connection: &mut PgConnection, age: Duration) -> sqlx::Result<OldTasks> {
    let rows = sqlx::query!(
        r#"with old as (
             select broker_id, id from porchlight.tasks
             where ended_at < now() - make_interval(secs => $1) and parent_id is null
             limit $2)
         select broker_id as "broker_id!", id as "id!" from old
         union all
         select step.broker_id, step.id from old
             join porchlight.tasks step on step.broker_id = old.broker_id and step.parent_id = old.id"#,
        age.as_secs_f64(),
        TASKS,
    )
    .fetch_all(connection)
    .await?;
    let (brokers, ids) = rows.into_iter().map(|row| (row.broker_id, row.id)).unzip();
    Ok(OldTasks { brokers, ids })
}

async fn remove_output(connection: &mut PgConnection, old: &OldTasks) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "delete from porchlight.task_output where (broker_id, task_id, attempt, at_byte) in (
             select broker_id, task_id, attempt, at_byte from porchlight.task_output
             where (broker_id, task_id) in (select * from unnest($1::text[], $2::text[]))
             limit $3 for update skip locked)",
        &old.brokers,
        &old.ids,
        ROWS,
    );
    Ok(removed.execute(connection).await?.rows_affected())
}

async fn remove_faults(connection: &mut PgConnection, old: &OldTasks) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "delete from porchlight.import_faults where (broker_id, task_id, n) in (
             select broker_id, task_id, n from porchlight.import_faults
             where (broker_id, task_id) in (select * from unnest($1::text[], $2::text[]))
             limit $3 for update skip locked)",
        &old.brokers,
        &old.ids,
        ROWS,
    );
    Ok(removed.execute(connection).await?.rows_affected())
}

async fn remove(connection: &mut PgConnection, old: &OldTasks) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "delete from porchlight.tasks where (broker_id, id) in (
             select broker_id, id from porchlight.tasks
             where (broker_id, id) in (select * from unnest($1::text[], $2::text[]))
                 and parent_id is null
             for update skip locked)",
        &old.brokers,
        &old.ids,
    );
    Ok(removed.execute(connection).await?.rows_affected())
}
