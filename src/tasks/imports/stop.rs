//! Why an import goes no further.

use crate::records::RecordsError;
use crate::tasks::builtin_worker::{End, fault};
use crate::tasks::uploads::UploadError;
use crate::tasks::{Fault, Outcome, TaskError};

/// Why an import goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be done, or not now.
    Failed(Fault),
    Cancelled,
    Interrupted,
    Lost,
}

/// What was asked for cannot be done, however often it is tried.
pub(super) fn refused(code: &'static str, sentence: impl AsRef<str>) -> Stop {
    Stop::Failed(fault(code, sentence.as_ref(), false))
}

impl Stop {
    /// Something went wrong that is nobody's fault and may go well another time.
    fn later(error: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%error, "an import was interrupted");
        let sentence = "The database was not to be had. What was created stays.";
        Self::Failed(fault("database_unavailable", sentence, true))
    }

    /// The thread that read the file ended by a panic.
    pub(super) fn broken(error: tokio::task::JoinError) -> Self {
        if error.is_panic() {
            std::panic::resume_unwind(error.into_panic());
        }
        Self::Interrupted
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(why) => Self::With(Outcome::Failed(why)),
            Stop::Cancelled => Self::With(Outcome::Cancelled),
            Stop::Interrupted => Self::Interrupted,
            Stop::Lost => Self::Lost,
        }
    }
}

impl From<TaskError> for Stop {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::LeaseLost(_) | TaskError::Unknown(_) => Self::Lost,
            error => Self::later(&error),
        }
    }
}

impl From<RecordsError> for Stop {
    fn from(error: RecordsError) -> Self {
        Self::later(&error)
    }
}

impl From<UploadError> for Stop {
    fn from(error: UploadError) -> Self {
        Self::later(&error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::later(&error)
    }
}
