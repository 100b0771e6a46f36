//! Why a lock is not had, kept or given back.

use sqlx::error::DatabaseError;

use super::Lock;
use crate::directory::RecordError;
use crate::platform::{RecordPath, SessionName};

/// Lock timeout and deadlock: somebody else was quicker, and is still at it.
const BUSY: [&str; 2] = ["55P03", "40P01"];

/// Why a lock is not had, kept or given back.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The record is none of the caller's.
    #[error("there is no record {0} that you may see")]
    UnknownRecord(RecordPath),
    #[error("{} holds the lock", .0.holder.user_id)]
    Locked(Box<Lock>),
    #[error("nobody holds the lock on {0}")]
    NotLocked(RecordPath),
    /// The caller holds it, but not on this device.
    #[error("your session {0} does not hold the lock")]
    UnknownSession(SessionName),
    /// The caller holds it, and does not need to ask.
    #[error("you hold the lock")]
    OwnLock(Box<Lock>),
    /// Only admins take from one who is there.
    #[error("the lock is not yours to take over")]
    TakeoverRefused(Box<Lock>),
    /// More devices than one person has.
    #[error("{} of your sessions hold the lock", super::sessions::MOST_SESSIONS)]
    TooManySessions,
    /// The line is too long.
    #[error("{} users wait for the lock", super::waiting::MOST_WAITING)]
    TooManyWaiting,
    /// Somebody is at it; nothing was changed.
    #[error("somebody else is changing the lock")]
    Busy,
    /// The record was told to others while it was being locked; nothing was changed.
    #[error("the record changes hands")]
    Moved,
    /// The database did not answer.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for LockError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.is_some_and(|code| BUSY.contains(&&*code)) {
            Self::Busy
        } else {
            Self::Database(error)
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
