//! What a worker does with a task that it holds.

use std::time::Duration;

use serde_json::value::RawValue;

use super::family::take_family;
use super::row::{At, TaskRow, peek};
use super::{Fault, Lost, Message, State, TaskError, Tasks, moves};
use crate::platform::{BrokerId, TaskId, UserId};

/// A worker's hold on a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseClaim {
    pub broker: BrokerId,
    pub task: TaskId,
    pub worker: UserId,
    pub fence: i32,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Completed {
        /// What came out, on one line.
        result: Option<Box<RawValue>>,
        message: Option<Message>,
    },
    /// It could not be done.
    Failed(Fault),
    /// It was to end, and has.
    Cancelled,
}

impl LeaseClaim {
    pub(super) fn at(&self) -> At<'_> {
        At {
            broker: &self.broker,
            id: &self.task,
        }
    }

    /// Whether the task is still this worker's. A lease that is over but that nobody has
    /// noticed goes on: nobody else has the task.
    pub(super) fn check(&self, row: &TaskRow) -> Result<(), TaskError> {
        let held = row.held.as_ref();
        let is_mine = held.is_some_and(|held| held.worker == self.worker);
        if is_mine && row.attempt == self.fence {
            return Ok(());
        }
        Err(TaskError::LeaseLost(match row.state {
            State::Cancelled => Lost::Cancelled,
            State::Completed | State::Failed => Lost::Ended,
            State::Queued => Lost::Expired,
            State::Running | State::Cancelling => Lost::Claimed,
        }))
    }
}

impl Tasks {
    /// Ends an attempt; says what has become of the task.
    pub async fn finish(&self, holding: &LeaseClaim, outcome: Outcome) -> Result<State, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let family = take_family(&mut transaction, holding.at()).await?;
        let mut family = family.ok_or_else(|| TaskError::Unknown(holding.task.clone()))?;
        holding.check(&family.row)?;
        let (row, by) = (&mut family.row, Some(&holding.worker));
        let events = match outcome {
            Outcome::Completed { result, message } => moves::complete(row, (result, message), by)?,
            Outcome::Failed(why) if why.retryable && may_go_again(row) => {
                let rest = self.rules.rest_after(row.attempt);
                moves::requeue(row, why, rest)?
            }
            Outcome::Failed(why) => moves::fail(row, why, by)?,
            Outcome::Cancelled if row.state == State::Running => {
                return Err(TaskError::WrongState(row.state));
            }
            Outcome::Cancelled => moves::cancel(row, by)?,
        };
        let whose = (&holding.broker, family);
        Ok(self.conclude(transaction, whose, events).await?.state)
    }

    /// Gives a task back at once, for another worker to go on with, if it may be begun again.
    pub async fn give_back(&self, holding: &LeaseClaim, why: Fault) -> Result<State, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let family = take_family(&mut transaction, holding.at()).await?;
        let mut family = family.ok_or_else(|| TaskError::Unknown(holding.task.clone()))?;
        holding.check(&family.row)?;
        let (row, by) = (&mut family.row, Some(&holding.worker));
        let events = match row.state {
            State::Cancelling => moves::cancel(row, by)?,
            _ if may_go_again(row) => moves::requeue(row, why, Duration::ZERO)?,
            _ => moves::fail(row, why, by)?,
        };
        let whose = (&holding.broker, family);
        Ok(self.conclude(transaction, whose, events).await?.state)
    }

    /// Why a report is refused.
    pub(super) async fn why_lost(&self, holding: &LeaseClaim) -> TaskError {
        let looked = async {
            let mut connection = self.pool.acquire().await?;
            peek(&mut connection, holding.at()).await
        };
        match looked.await {
            Err(error) => error.into(),
            Ok(None) => TaskError::Unknown(holding.task.clone()),
            // Held again since, or not by a worker at all.
            Ok(Some(row)) => holding
                .check(&row)
                .err()
                .unwrap_or(TaskError::LeaseLost(Lost::Claimed)),
        }
    }
}

/// Whether another attempt is allowed, and wanted.
pub(super) fn may_go_again(row: &TaskRow) -> bool {
    row.state == State::Running && row.attempt < row.max_attempts
}
