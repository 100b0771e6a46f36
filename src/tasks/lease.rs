//! Leases: what a worker needs to prove that it has a task.

use sqlx::PgConnection;

use super::row::{TaskRef, TaskRow, select_tasks};
use super::{Lost, TaskError, TaskState};
use crate::log::TaskKey;
use crate::platform::{BrokerId, TaskId, UserId};

/// A worker's claim to hold the lease of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseClaim {
    pub broker: BrokerId,
    pub task: TaskId,
    pub worker: UserId,
    pub fence: i32,
}

/// The state of a lease that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    Active,
    /// The worker must stop and confirm that it has.
    Cancelling,
}

impl LeaseClaim {
    pub(super) fn at(&self) -> TaskRef<'_> {
        TaskRef {
            broker: &self.broker,
            id: &self.task,
        }
    }

    pub(super) fn key(&self) -> TaskKey {
        TaskKey {
            broker: self.broker.clone(),
            task: self.task.clone(),
        }
    }

    /// Fails unless the worker holds the lease. A lease whose time is over counts until the sweeper
    /// has ended it: no other worker has the task before that.
    pub(super) fn check(&self, row: &TaskRow) -> Result<(), TaskError> {
        let lease = row.lease.as_ref();
        let is_same_worker = lease.is_some_and(|lease| lease.worker == self.worker);
        if is_same_worker && row.attempt == self.fence {
            return Ok(());
        }
        Err(TaskError::LeaseLost(match row.state {
            TaskState::Cancelled => Lost::Cancelled,
            TaskState::Completed | TaskState::Failed => Lost::Ended,
            TaskState::Queued => Lost::Expired,
            TaskState::Running | TaskState::Cancelling => Lost::Claimed,
        }))
    }

    /// Keeps the lease to the end of the transaction. The lock does not block progress reports.
    /// Fails when the lease is lost.
    pub async fn lock(&self, connection: &mut PgConnection) -> Result<LeaseState, TaskError> {
        let found = select_tasks!(
            "select * from porchlight.tasks where broker_id = $1 and id = $2 for key share",
            self.broker.as_str(),
            self.task.as_str(),
        );
        let row = found.fetch_optional(connection).await?;
        let row = row.ok_or_else(|| TaskError::Unknown(self.task.clone()))?;
        let row = TaskRow::try_from(row)?;
        self.check(&row)?;
        Ok(match row.state {
            TaskState::Cancelling => LeaseState::Cancelling,
            _ => LeaseState::Active,
        })
    }
}
