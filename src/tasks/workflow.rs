//! Workflows: tasks whose state follows from the states of their steps.

use sqlx::PgConnection;

use super::row::{self, TaskRef, TaskRow, write};
use super::worker::Completion;
use super::{Percent, Steps, TaskError, TaskFault, TaskState, Tasks, transitions};
use crate::log::NewEvent;
use crate::platform::{BrokerId, TaskId, Transaction};

const CHILD_FAILED: &str = "child_failed";

/// A locked task, and its workflow, which was locked before it.
#[derive(Debug)]
pub(super) struct LockedTask {
    pub(super) row: TaskRow,
    pub(super) parent: Option<TaskRow>,
}

/// The steps of a workflow by state. Steps that were retried within it do not count.
#[derive(Clone, Copy, Debug, Default)]
struct StepCounts {
    all: i32,
    started: i32,
    ended: i32,
    failed: i32,
    cancelled: i32,
    permille: i32,
}

/// Locks a task, its workflow first.
pub(super) async fn lock_with_workflow(
    connection: &mut PgConnection,
    at: TaskRef<'_>,
) -> sqlx::Result<Option<LockedTask>> {
    // The parent of a task never changes.
    let Some(found) = row::read(connection, at).await? else {
        return Ok(None);
    };
    let parent = match &found.parent {
        Some(id) => row::lock(connection, TaskRef { id, ..at }).await?,
        None => None,
    };
    let row = row::lock(connection, at).await?;
    Ok(row.map(|row| LockedTask { row, parent }))
}

/// Updates a locked workflow from its steps, as this transaction has left them.
pub(super) async fn update(
    connection: &mut PgConnection,
    broker: &BrokerId,
    parent: &mut TaskRow,
) -> Result<Vec<NewEvent>, TaskError> {
    if parent.state.is_over() {
        return Ok(Vec::new());
    }
    let counts = count_steps(connection, broker, &parent.id).await?;
    parent.reported_at = Some(parent.now);
    let events = apply(parent, counts)?;
    write(connection, broker, parent).await?;
    Ok(events)
}

fn apply(parent: &mut TaskRow, counts: StepCounts) -> Result<Vec<NewEvent>, TaskError> {
    let mut events = Vec::new();
    if counts.started > 0 && parent.state == TaskState::Queued {
        events.extend(transitions::begin_workflow(parent)?);
    }
    let percent = i16::try_from(counts.permille / counts.all.max(1)).ok();
    let percent = percent.and_then(|permille| Percent::of_permille(permille).ok());
    let steps = Some(Steps {
        step: counts.ended,
        total: counts.all,
    });
    let has_changed = parent.progress.percent != percent || parent.progress.steps != steps;
    (parent.progress.percent, parent.progress.steps) = (percent, steps);
    if counts.ended < counts.all {
        if has_changed {
            events.extend(transitions::progressed(parent));
        }
        return Ok(events);
    }
    // The final event has the progress, too.
    parent.has_unpublished = false;
    events.extend(end(parent, counts)?);
    Ok(events)
}

fn end(parent: &mut TaskRow, counts: StepCounts) -> Result<Vec<NewEvent>, TaskError> {
    if parent.cancel_requested_at.is_some() || counts.cancelled == counts.all {
        return transitions::cancel(parent, None);
    }
    if counts.failed == 0 {
        return transitions::complete(parent, Completion::default(), None);
    }
    let message = format!("{} of {} steps failed.", counts.failed, counts.all);
    let why = TaskFault {
        code: CHILD_FAILED.parse().expect("a valid code"),
        message: message.try_into().expect("a short sentence"),
        retryable: true,
    };
    transitions::fail(parent, why, None)
}

async fn count_steps(
    connection: &mut PgConnection,
    broker: &BrokerId,
    parent: &TaskId,
) -> sqlx::Result<StepCounts> {
    sqlx::query_as!(
        StepCounts,
        r#"select count(*)::integer as "all!",
               count(*) filter (where attempt > skipped_attempts)::integer as "started!",
               count(*) filter (where ended_at is not null)::integer as "ended!",
               count(*) filter (where state = 'failed')::integer as "failed!",
               count(*) filter (where state = 'cancelled')::integer as "cancelled!",
               coalesce(sum(permille), 0)::integer as "permille!"
           from porchlight.tasks c
           where broker_id = $1 and parent_id = $2 and not exists (
               select from porchlight.tasks r where r.broker_id = c.broker_id
                   and r.retry_of = c.id and r.parent_id = c.parent_id)"#,
        broker.as_str(),
        parent.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// Writes a changed task, and updates its workflow. Returns the events of the workflow.
pub(super) async fn write_with_workflow(
    connection: &mut PgConnection,
    broker: &BrokerId,
    locked: &mut LockedTask,
) -> Result<Vec<NewEvent>, TaskError> {
    write(connection, broker, &locked.row).await?;
    match &mut locked.parent {
        Some(parent) => update(connection, broker, parent).await,
        None => Ok(Vec::new()),
    }
}

impl Tasks {
    /// Ends a change of a task: writes the row, updates its workflow, commits and notifies.
    pub(super) async fn conclude(
        &self,
        mut transaction: Transaction<'_>,
        broker: &BrokerId,
        mut locked: LockedTask,
        mut events: Vec<NewEvent>,
    ) -> Result<TaskRow, TaskError> {
        events.extend(write_with_workflow(&mut transaction, broker, &mut locked).await?);
        self.commit(transaction, broker, locked, events).await
    }

    /// Commits a task that has been written, with its workflow, and notifies.
    pub(super) async fn commit(
        &self,
        transaction: Transaction<'_>,
        broker: &BrokerId,
        locked: LockedTask,
        events: Vec<NewEvent>,
    ) -> Result<TaskRow, TaskError> {
        self.committer.conclude(transaction, broker, events).await?;
        self.notices.changed(broker, &locked.row.id);
        if let Some(parent) = &locked.parent {
            if parent.state.is_over() {
                self.notices.changed(broker, &parent.id);
            }
            if parent.has_unpublished {
                self.reports.update_workflow(broker, &parent.id);
            }
        }
        Ok(locked.row)
    }
}

#[cfg(test)]
mod tests;
