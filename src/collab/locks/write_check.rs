//! Checks in a transaction of the service whether a lock forbids a write.

use sqlx::PgConnection;

use super::Lock;
use super::row::{self, LockKey};
use crate::identity::Caller;
use crate::platform::RecordPath;

/// Why a lock forbids a write.
#[derive(Clone, Debug)]
pub enum LockConflict {
    Locked(Box<Lock>),
    /// Nobody holds the lock with the fence that the request names. Has the current lock, if any.
    FenceLost(Option<Box<Lock>>),
}

/// Whether a lock forbids the caller to write to a record. The answer holds until the transaction
/// ends: no lock is granted before. The holder may omit the fence. A request with a fence must hold
/// the lock with that fence.
pub async fn check_write(
    connection: &mut PgConnection,
    caller: &Caller,
    record: &RecordPath,
    fence: Option<i64>,
) -> sqlx::Result<Option<LockConflict>> {
    let Some(row) = row::lock_shared(connection, LockKey::of(caller, record)).await? else {
        return Ok(fence.map(|_| LockConflict::FenceLost(None)));
    };
    let lock = row.lock().map(Box::new);
    let is_own = |lock: &Lock| lock.holder.user_id == caller.user;
    Ok(match (lock, fence) {
        (Some(lock), Some(fence)) if lock.fence == fence => None,
        (Some(lock), None) if is_own(&lock) => None,
        (Some(lock), None) => Some(LockConflict::Locked(lock)),
        (Some(lock), Some(_)) if !is_own(&lock) => Some(LockConflict::Locked(lock)),
        (lock, Some(_)) => Some(LockConflict::FenceLost(lock)),
        (None, None) => None,
    })
}
