//! Why an import ends early.

use crate::records::RecordsError;
use crate::tasks::builtin_worker::{JobEnd, fault};
use crate::tasks::uploads::UploadError;
use crate::tasks::{TaskError, TaskFault, TaskOutcome};

/// Why an import ends early.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(TaskFault),
    Cancelled,
    /// The worker stops.
    Interrupted,
    /// The lease is lost.
    Lost,
}

/// The import failed, and another attempt would fail, too.
pub(super) fn refused(code: &'static str, sentence: impl AsRef<str>) -> Stop {
    Stop::Failed(fault(code, sentence.as_ref(), false))
}

impl Stop {
    /// The import failed, but another attempt may succeed.
    fn later(error: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%error, "an import was interrupted");
        let sentence = "The database could not be reached. The records that were created stay.";
        Self::Failed(fault("database_unavailable", sentence, true))
    }

    /// The thread that read the file has ended early. A panic is passed on.
    pub(super) fn broken(error: tokio::task::JoinError) -> Self {
        if error.is_panic() {
            std::panic::resume_unwind(error.into_panic());
        }
        Self::Interrupted
    }
}

impl From<Stop> for JobEnd {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(why) => Self::With(TaskOutcome::Failed(why)),
            Stop::Cancelled => Self::With(TaskOutcome::Cancelled),
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
