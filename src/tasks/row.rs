//! The row of a task, and the SQL that reads and writes it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Message, Percent, TaskState, Title};
use crate::platform::{BrokerId, FaultCode, TaskId, TaskType, TeamId, UserId};

mod stored;

pub(super) use stored::StoredTask;

/// Why a task failed, or why it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFault {
    pub code: FaultCode,
    pub message: Message,
    /// Whether another attempt may succeed.
    #[serde(default)]
    pub retryable: bool,
}

/// Which step a task has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub step: i32,
    pub total: i32,
}

impl Steps {
    /// The columns of a row: both or neither have a value.
    pub(super) fn stored(step: Option<i32>, total: Option<i32>) -> Option<Self> {
        let columns = step.zip(total);
        columns.map(|(step, total)| Self { step, total })
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct TaskProgress {
    pub(super) percent: Option<Percent>,
    pub(super) steps: Option<Steps>,
    pub(super) message: Option<Message>,
    pub(super) partial: Option<Box<RawValue>>,
}

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) worker: UserId,
    pub(super) seconds: i32,
    pub(super) until: OffsetDateTime,
}

/// A task without its parameters.
#[derive(Clone, Debug)]
pub(super) struct TaskRow {
    pub(super) id: TaskId,
    pub(super) user: UserId,
    pub(super) team: Option<TeamId>,
    pub(super) task_type: TaskType,
    pub(super) title: Option<Title>,
    pub(super) parent: Option<TaskId>,
    pub(super) is_workflow: bool,
    pub(super) retry_of: Option<TaskId>,
    pub(super) state: TaskState,
    pub(super) progress: TaskProgress,
    pub(super) result: Option<Box<RawValue>>,
    pub(super) error: Option<TaskFault>,
    /// The fence of the newest attempt.
    pub(super) attempt: i32,
    /// Numbers of attempts that were left out when the database was restored.
    pub(super) skipped_attempts: i32,
    pub(super) max_attempts: i32,
    pub(super) lease: Option<Lease>,
    pub(super) run_after: Option<OffsetDateTime>,
    pub(super) cancel_requested_at: Option<OffsetDateTime>,
    pub(super) cancel_requested_by: Option<UserId>,
    pub(super) reported_at: Option<OffsetDateTime>,
    /// When progress was last published.
    pub(super) published_at: Option<OffsetDateTime>,
    /// There is newer progress than what was published.
    pub(super) has_unpublished: bool,
    pub(super) output_bytes: i32,
    pub(super) version: i64,
    pub(super) created_at: OffsetDateTime,
    pub(super) started_at: Option<OffsetDateTime>,
    pub(super) ended_at: Option<OffsetDateTime>,
    /// The database's time after the row was locked.
    pub(super) now: OffsetDateTime,
}

impl TaskRow {
    /// How often it was started.
    pub(super) fn attempts(&self) -> i32 {
        self.attempt - self.skipped_attempts
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TaskRef<'a> {
    pub(super) broker: &'a BrokerId,
    pub(super) id: &'a TaskId,
}

/// Selects the rows that `$mine` finds, from new to old. `$large` replaces their large columns.
/// The time is taken after the rows are locked: a plain select list would be evaluated before the
/// wait for the lock.
macro_rules! select_tasks {
    ($mine:literal, $($argument:expr),+ $(,)?) => {
        $crate::tasks::row::select_tasks!("partial::text, result::text", of $mine, $($argument),+)
    };
    ($large:literal, of $mine:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            $crate::tasks::row::StoredTask,
            r#"with mine as materialized ("# + $mine + r#")
               select id as "id!", user_id as "user_id!", team_id, type as "type!", title,
                   parent_id, is_workflow as "is_workflow!", retry_of, state as "state!",
                   permille, step, steps, message, "# + $large + r#", error::text,
                   attempt as "attempt!", skipped_attempts as "skipped_attempts!", max_attempts as "max_attempts!", worker_id,
                   lease_seconds, lease_until, run_after, cancel_requested_at,
                   cancel_requested_by, reported_at, told_at, is_untold as "is_untold!", output_bytes as "output_bytes!",
                   version as "version!", created_at as "created_at!", started_at, ended_at,
                   clock_timestamp() as "now!"
               from mine order by created_at desc, id desc"#,
            $($argument),+
        )
    };
}
pub(super) use select_tasks;

/// Reads a row without a lock.
pub(super) async fn read(
    connection: &mut PgConnection,
    at: TaskRef<'_>,
) -> sqlx::Result<Option<TaskRow>> {
    let found = select_tasks!(
        "select * from porchlight.tasks where broker_id = $1 and id = $2",
        at.broker.as_str(),
        at.id.as_str(),
    );
    found
        .fetch_optional(connection)
        .await?
        .map(TaskRow::try_from)
        .transpose()
}

/// Locks a row for a change.
pub(super) async fn lock(
    connection: &mut PgConnection,
    at: TaskRef<'_>,
) -> sqlx::Result<Option<TaskRow>> {
    let found = select_tasks!(
        "select * from porchlight.tasks where broker_id = $1 and id = $2 for update",
        at.broker.as_str(),
        at.id.as_str(),
    );
    found
        .fetch_optional(connection)
        .await?
        .map(TaskRow::try_from)
        .transpose()
}

/// Locks a row for a change. None when another transaction has it.
pub(super) async fn try_lock(
    connection: &mut PgConnection,
    at: TaskRef<'_>,
) -> sqlx::Result<Option<TaskRow>> {
    let found = select_tasks!(
        "select * from porchlight.tasks where broker_id = $1 and id = $2 for update skip locked",
        at.broker.as_str(),
        at.id.as_str(),
    );
    found
        .fetch_optional(connection)
        .await?
        .map(TaskRow::try_from)
        .transpose()
}

/// Locks the children of a workflow that have not ended, in the same order everywhere.
pub(super) async fn lock_children(
    connection: &mut PgConnection,
    parent: TaskRef<'_>,
) -> sqlx::Result<Vec<TaskRow>> {
    let found = select_tasks!(
        "select * from porchlight.tasks
         where broker_id = $1 and parent_id = $2 and ended_at is null order by id for update",
        parent.broker.as_str(),
        parent.id.as_str(),
    );
    let rows = found.fetch_all(connection).await?;
    rows.into_iter().map(TaskRow::try_from).collect()
}

/// The parameters as they were sent.
pub(super) async fn params(
    connection: &mut PgConnection,
    at: TaskRef<'_>,
) -> sqlx::Result<Option<Box<RawValue>>> {
    let params = sqlx::query_scalar!(
        r#"select params::text as "params!" from porchlight.tasks
           where broker_id = $1 and id = $2"#,
        at.broker.as_str(),
        at.id.as_str(),
    );
    let params = params.fetch_optional(connection).await?;
    params.map(stored::json).transpose()
}

/// Writes a row that is locked.
pub(super) async fn write(
    connection: &mut PgConnection,
    broker: &BrokerId,
    row: &TaskRow,
) -> sqlx::Result<()> {
    let (progress, lease) = (&row.progress, row.lease.as_ref());
    let error = row.error.as_ref().map(serde_json::to_string).transpose();
    sqlx::query!(
        "update porchlight.tasks
         set is_workflow = $3, state = $4, permille = $5, step = $6, steps = $7, message = $8,
             partial = $9::text::json, result = $10::text::json, error = $11::text::json,
             attempt = $12, worker_id = $13, lease_seconds = $14, lease_until = $15,
             run_after = $16, cancel_requested_at = $17, cancel_requested_by = $18, reported_at = $19,
             told_at = $20, is_untold = $21, output_bytes = $22, version = $23, started_at = $24,
             ended_at = $25
         where broker_id = $1 and id = $2",
        broker.as_str(),
        row.id.as_str(),
        row.is_workflow,
        row.state.as_str(),
        progress.percent.map(Percent::permille),
        progress.steps.map(|steps| steps.step),
        progress.steps.map(|steps| steps.total),
        progress.message.as_ref().map(Message::as_str),
        progress.partial.as_deref().map(RawValue::get),
        row.result.as_deref().map(RawValue::get),
        error.map_err(stored::unreadable)?,
        row.attempt,
        lease.map(|lease| lease.worker.as_str()),
        lease.map(|lease| lease.seconds),
        lease.map(|lease| lease.until),
        row.run_after,
        row.cancel_requested_at,
        row.cancel_requested_by.as_ref().map(UserId::as_str),
        row.reported_at,
        row.published_at,
        row.has_unpublished,
        row.output_bytes,
        row.version,
        row.started_at,
        row.ended_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

#[cfg(test)]
pub(super) mod tests;
