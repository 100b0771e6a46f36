//! Errors of tasks.

use sqlx::error::DatabaseError;

use super::{TaskState, WrongParams};
use crate::log::KeyError;
use crate::platform::database::is_contended;
use crate::platform::{QuotaExceeded, TaskId, TeamId};

/// Why a worker has lost its lease and must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Cancelled,
    /// The task has completed or failed.
    Ended,
    /// The lease ran out or was released, and the task is queued again.
    Expired,
    /// Another attempt has the task.
    Claimed,
}

impl Lost {
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

/// Why a task gets no further step.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    #[error("there is no task {0} of yours")]
    Unknown(TaskId),
    #[error("{0} is a step of a workflow itself")]
    IsChild(TaskId),
    /// Steps cannot be added in its state.
    #[error("the parent is {0}")]
    WrongState(TaskState),
    #[error("a workflow has {} children at the most", super::MOST_CHILDREN)]
    TooManyChildren,
}

#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// There is no such task, or the caller may not see it.
    #[error("there is no task {0} that you may see")]
    Unknown(TaskId),
    /// The caller may see the task but not change it.
    #[error("the task {0} is another user's")]
    NotYours(TaskId),
    /// The caller is not on the team of the task.
    #[error("you are not on the team {0}")]
    UnknownTeam(TeamId),
    #[error(transparent)]
    Parent(#[from] ParentError),
    /// No worker could carry out a task with these parameters.
    #[error("{}", .0.detail)]
    WrongParams(Box<WrongParams>),
    /// The transition is not allowed.
    #[error("the task is {0}")]
    WrongState(TaskState),
    #[error("the task was retried before")]
    AlreadyRetried,
    #[error("this idempotency key was used with another body")]
    KeyReused,
    #[error(transparent)]
    Quota(QuotaExceeded),
    #[error("the lease is lost: {}", .0.as_str())]
    LeaseLost(Lost),
    /// A chunk does not begin where the output ends.
    #[error("the output continues at byte {0}")]
    WrongOffset(i32),
    #[error("a task has {} bytes of output at the most", super::output::MOST_BYTES)]
    OutputTooLarge,
    /// Another transaction has the task, or too many reports wait. Nothing was changed.
    #[error("another request is changing the task")]
    Busy,
    #[error("the database did not confirm the report")]
    Unconfirmed,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<KeyError> for TaskError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::Database(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for TaskError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(quota) = QuotaExceeded::of(&error) {
            return Self::Quota(quota);
        }
        if is_contended(&error) {
            return Self::Busy;
        }
        let refusal = error.as_database_error();
        match refusal.and_then(DatabaseError::constraint) {
            Some("task_retried_once") => Self::AlreadyRetried,
            // The trigger refuses a transition that was decided from an outdated row.
            Some("task_moves_legally") => Self::Busy,
            _ => Self::Database(error),
        }
    }
}
