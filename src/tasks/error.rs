//! Why a task is not had, changed or reported on.

use sqlx::error::DatabaseError;

use super::{State, WrongParams};
use crate::platform::{TaskId, TeamId};

/// Lock timeout and deadlock: somebody else was quicker, and is still at it.
const BUSY: [&str; 2] = ["55P03", "40P01"];

/// Why a worker has lost its task, and must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Cancelled,
    /// The task has ended otherwise.
    Ended,
    /// The lease ran out, or the attempt was given up; the task is queued again.
    Expired,
    Claimed,
}

impl Lost {
    /// The reason as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::Claimed => "claimed",
        }
    }
}

/// Why a task is not had, changed or reported on.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// There is none that the caller may see.
    #[error("there is no task {0} that you may see")]
    Unknown(TaskId),
    /// The caller may see it, and no more.
    #[error("the task {0} is another user's")]
    NotYours(TaskId),
    /// The caller is not on the team that is to be told.
    #[error("there is no team {0} among yours")]
    UnknownTeam(TeamId),
    /// There is no such parent among the caller's tasks.
    #[error("there is no task {0} of yours")]
    UnknownParent(TaskId),
    /// Children have no children.
    #[error("{0} is a step of a workflow itself")]
    ParentIsChild(TaskId),
    /// The parent has ended, is about to, or is at a worker.
    #[error("the parent is {0}")]
    ParentBusy(State),
    /// More children than a workflow has.
    #[error("a workflow has {} children at the most", super::MOST_CHILDREN)]
    TooManyChildren,
    /// A worker could not do it with what it is given.
    #[error("{}", .0.detail)]
    WrongParams(Box<WrongParams>),
    /// The task is not where it would have to be.
    #[error("the task is {0}")]
    WrongState(State),
    /// It is done again already.
    #[error("the task was retried before")]
    AlreadyRetried,
    /// The key stands for another body.
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// The worker does not hold it any more.
    #[error("the lease is lost: {}", .0.as_str())]
    LeaseLost(Lost),
    /// Output begins where it ended before.
    #[error("the output goes on at byte {0}")]
    WrongOffset(i32),
    /// More output than a task may have.
    #[error("a task has {} bytes of output at the most", super::output::MOST_BYTES)]
    OutputTooLarge,
    /// Somebody is at it, or too many reports wait; nothing was changed.
    #[error("somebody else is changing the task")]
    Busy,
    /// The database did not confirm a report in time.
    #[error("the database did not confirm the report")]
    Unconfirmed,
    /// The database did not answer.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for TaskError {
    fn from(error: sqlx::Error) -> Self {
        let refusal = error.as_database_error();
        let is_busy = |code: &str| BUSY.contains(&code);
        if refusal
            .and_then(DatabaseError::code)
            .is_some_and(|code| is_busy(&code))
        {
            return Self::Busy;
        }
        match refusal.and_then(DatabaseError::constraint) {
            Some("task_retried_once") => Self::AlreadyRetried,
            // Held by the database should a row ever be moved without being looked at.
            Some("task_moves_legally") => Self::Busy,
            _ => Self::Database(error),
        }
    }
}
