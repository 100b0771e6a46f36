//! The end of an attempt, as its worker reports it.

use std::time::Duration;

use serde_json::value::RawValue;

use super::row::{self, TaskRow};
use super::workflow::lock_with_workflow;
use super::{LeaseClaim, Lost, Message, TaskError, TaskFault, TaskState, Tasks, transitions};
use crate::log::NewEvent;
use crate::platform::UserId;

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
    /// The worker stops before the end. Another one goes on at once if an attempt is left.
    Released(TaskFault),
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
        let events = self.end(&mut locked.row, outcome, &lease.worker)?;
        let row = self
            .conclude(transaction, &lease.broker, locked, events)
            .await?;
        Ok(EndedAttempt::of(&row))
    }

    fn end(
        &self,
        row: &mut TaskRow,
        outcome: TaskOutcome,
        by: &UserId,
    ) -> Result<Vec<NewEvent>, TaskError> {
        let (by, state) = (Some(by), row.state);
        match outcome {
            TaskOutcome::Completed(with) => transitions::complete(row, with, by),
            TaskOutcome::Failed(why) if why.retryable && may_retry(row) => {
                let delay = self.rules.retry_delay(row.attempts());
                transitions::requeue(row, why, delay)
            }
            // It would have gone on, had nobody cancelled it.
            TaskOutcome::Failed(why) if why.retryable && state == TaskState::Cancelling => {
                transitions::cancel(row, by)
            }
            TaskOutcome::Released(_) if state == TaskState::Cancelling => {
                transitions::cancel(row, by)
            }
            TaskOutcome::Released(why) if may_retry(row) => {
                transitions::requeue(row, why, Duration::ZERO)
            }
            TaskOutcome::Failed(why) | TaskOutcome::Released(why) => {
                transitions::fail(row, why, by)
            }
            TaskOutcome::Cancelled if state == TaskState::Running => {
                Err(TaskError::WrongState(state))
            }
            TaskOutcome::Cancelled => transitions::cancel(row, by),
        }
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
