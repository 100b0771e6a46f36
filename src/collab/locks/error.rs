//! Why an operation on a lock fails.

use super::Lock;
use crate::directory::RecordError;
use crate::log::KeyError;
use crate::platform::database::is_contended;
use crate::platform::{QuotaExceeded, RecordPath, SessionName};

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is no such record, or the caller may not see it.
    #[error("there is no record {0} that you may see")]
    UnknownRecord(RecordPath),
    #[error("{} holds the lock", .0.holder.user_id)]
    Locked(Box<Lock>),
    #[error("nobody holds the lock on {0}")]
    NotLocked(RecordPath),
    /// The caller holds the lock, but not with this session.
    #[error("your session {0} does not hold the lock")]
    UnknownSession(SessionName),
    /// The caller asks for a lock that is their own.
    #[error("you hold the lock")]
    OwnLock(Box<Lock>),
    /// Only admins may take a lock while its holder is present.
    #[error("the lock is not yours to take over")]
    TakeoverRefused(Box<Lock>),
    #[error("{} of your sessions hold the lock", super::sessions::MOST_SESSIONS)]
    TooManySessions,
    #[error("{} users wait for the lock", super::waiting_users::MOST_WAITING)]
    TooManyWaiting,
    #[error(transparent)]
    Quota(QuotaExceeded),
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// Another transaction has the row; nothing was changed.
    #[error("somebody else is changing the lock")]
    Busy,
    /// The record got another audience while it was being locked; nothing was changed.
    #[error("the record was just moved to another team")]
    Moved,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for LockError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(quota) = QuotaExceeded::of(&error) {
            return Self::Quota(quota);
        }
        if is_contended(&error) {
            Self::Busy
        } else {
            Self::Database(error)
        }
    }
}

impl From<KeyError> for LockError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::Database(error) => error.into(),
        }
    }
}

impl From<RecordError> for LockError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Unknown(record) => Self::UnknownRecord(record),
            RecordError::Database(error) => error.into(),
            RecordError::Unavailable => Self::Busy,
        }
    }
}
