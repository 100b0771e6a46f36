//! The problems of locks: why a request is refused, and what the client can do.

use actix_web::http::StatusCode;

use super::problem::{Code, Problem};
use crate::collab::{InvalidLease, Lock, LockError};
use crate::directory::RecordError;
use crate::log::{PublishError, timestamp};

impl From<LockError> for Problem {
    fn from(error: LockError) -> Self {
        match error {
            LockError::UnknownRecord(record) => RecordError::Unknown(record).into(),
            LockError::Locked(lock) => locked(&lock),
            LockError::OwnLock(lock) => own_lock(&lock),
            LockError::TakeoverRefused(lock) => refused(&lock),
            LockError::NotLocked(record) => {
                let detail = format!("Nobody holds the lock on {record}. You can take it.");
                Self::new(StatusCode::NOT_FOUND, Code::NotLocked, detail)
            }
            LockError::UnknownSession(session) => {
                let detail = format!(
                    "You hold the lock, but not with the session {session}. POST /locks with this \
                     session to share the lock."
                );
                Self::new(StatusCode::NOT_FOUND, Code::UnknownSession, detail).at("session")
            }
            LockError::TooManySessions => {
                let detail =
                    "Too many of your sessions share this lock. Release one of them first.";
                Self::new(StatusCode::CONFLICT, Code::TooManySessions, detail).at("session")
            }
            LockError::TooManyWaiting => {
                let detail = "Too many users already wait for this lock.";
                Self::new(StatusCode::CONFLICT, Code::TooManyWaiting, detail)
            }
            LockError::Quota(quota) => quota.into(),
            LockError::KeyReused => PublishError::KeyReused.into(),
            LockError::Busy | LockError::Moved => Self::unavailable(
                Code::Busy,
                "Another request is changing this lock or its record. Nothing was changed. Try again.",
            ),
            LockError::Database(error) => Self::database(&error),
        }
    }
}

fn locked(lock: &Lock) -> Problem {
    let detail = format!(
        "{} has held the lock since {}, until {}. Wait for its end, or ask for it with POST \
         /locks/{}/{}/request. Admins may take it over. When its holder is offline, anyone may.",
        lock.holder.user_id,
        timestamp(lock.locked_at),
        timestamp(lock.locked_until),
        lock.module,
        lock.record_id,
    );
    Problem::new(StatusCode::CONFLICT, Code::Locked, detail).with("lock", lock)
}

fn own_lock(lock: &Lock) -> Problem {
    let detail = "You hold the lock yourself. POST /locks shares it with another session.";
    Problem::new(StatusCode::CONFLICT, Code::OwnLock, detail).with("lock", lock)
}

fn refused(lock: &Lock) -> Problem {
    let detail = "Only admins may take over a lock while its holder is online. Ask for it instead.";
    Problem::new(StatusCode::FORBIDDEN, Code::TakeoverRefused, detail).with("lock", lock)
}

impl From<InvalidLease> for Problem {
    fn from(error: InvalidLease) -> Self {
        let detail = format!("leaseSeconds: {error}.");
        Self::bad_request(Code::InvalidLease, detail).at("leaseSeconds")
    }
}
