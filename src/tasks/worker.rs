//! The end of an attempt, as its worker reports it.

use std::time::Duration;

use serde_json::value::RawValue;

use super::row::{self, TaskRow};
use super::workflow::lock_with_workflow;
use super::{LeaseClaim, Lost, Message, TaskError, TaskFault, TaskState, Tasks, transitions};

/// What a completed task leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// On one line.
    pub result: Option<Box<RawValue>>,
    pub message: Option<Message>,
}

/// A task after the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedAttempt {
    pub state: TaskState,
    /// The version of the task that this made.
    pub version: i64,
}

impl EndedAttempt {
    fn of(row: &TaskRow) -> Self {
        Self {
            state: row.state,
            version: row.version,
        }
    }
}

#[derive(Clone, Debug)]
pub enum TaskOutcome {
    Completed(Completion),
    Failed(TaskFault),
    /// The worker has stopped because the task is cancelled.
    Cancelled,
}

impl Tasks {
    /// Ends an attempt.
    pub async fn finish(
        &self,
        lease: &LeaseClaim,
        outcome: TaskOutcome,
    ) -> Result<EndedAttempt, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let locked = lock_with_workflow(&mut transaction, lease.at()).await?;
        let mut locked = locked.ok_or_else(|| TaskError::Unknown(lease.task.clone()))?;
        lease.check(&locked.row)?;
        let (row, by) = (&mut locked.row, Some(&lease.worker));
        let events = match outcome {
            TaskOutcome::Completed(with) => transitions::complete(row, with, by)?,
            TaskOutcome::Failed(why) if why.retryable && may_retry(row) => {
                let delay = self.rules.retry_delay(row.attempts());
                transitions::requeue(row, why, delay)?
            }
            TaskOutcome::Failed(why) => transitions::fail(row, why, by)?,
            TaskOutcome::Cancelled if row.state == TaskState::Running => {
                return Err(TaskError::WrongState(row.state));
            }
            TaskOutcome::Cancelled => transitions::cancel(row, by)?,
        };
        let row = self
            .conclude(transaction, &lease.broker, locked, events)
            .await?;
        Ok(EndedAttempt::of(&row))
    }

    /// Releases a task at once, so that another worker can go on with it if an attempt is left.
    pub async fn release(
        &self,
        lease: &LeaseClaim,
        why: TaskFault,
    ) -> Result<EndedAttempt, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let locked = lock_with_workflow(&mut transaction, lease.at()).await?;
        let mut locked = locked.ok_or_else(|| TaskError::Unknown(lease.task.clone()))?;
        lease.check(&locked.row)?;
        let (row, by) = (&mut locked.row, Some(&lease.worker));
        let events = match row.state {
            TaskState::Cancelling => transitions::cancel(row, by)?,
            _ if may_retry(row) => transitions::requeue(row, why, Duration::ZERO)?,
            _ => transitions::fail(row, why, by)?,
        };
        let row = self
            .conclude(transaction, &lease.broker, locked, events)
            .await?;
        Ok(EndedAttempt::of(&row))
    }

    /// Why a report was refused.
    pub(super) async fn lease_error(&self, lease: &LeaseClaim) -> TaskError {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            row::read(&mut connection, lease.at()).await
        };
        match read.await {
            Err(error) => error.into(),
            Ok(None) => TaskError::Unknown(lease.task.clone()),
            // The row may have changed since, or the task may be a workflow.
            Ok(Some(row)) => lease
                .check(&row)
                .err()
                .unwrap_or(TaskError::LeaseLost(Lost::Claimed)),
        }
    }
}

/// Whether the task may have another attempt.
pub(super) fn may_retry(row: &TaskRow) -> bool {
    row.state == TaskState::Running && row.attempts() < row.max_attempts
}
