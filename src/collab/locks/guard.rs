//! Whether a lock lets somebody write, for transactions of the service.

use sqlx::PgConnection;

use super::Lock;
use super::row::{LockKey, share};
use crate::identity::Caller;
use crate::platform::RecordPath;

/// Why a lock does not let somebody write.
#[derive(Clone, Debug)]
pub enum Barred {
    Locked(Box<Lock>),
    /// It is not held with the fence that was named; whoever holds it now.
    FenceLost(Option<Box<Lock>>),
}

/// Whether the caller may write to a record now, and to the end of the transaction: nobody is
/// granted the lock before. The holder need not name the fence, and whoever names one must
/// hold the lock with it.
pub async fn bars(
    connection: &mut PgConnection,
    (caller, record): (&Caller, &RecordPath),
    fence: Option<i64>,
) -> sqlx::Result<Option<Barred>> {
    let Some(row) = share(connection, LockKey::of(caller, record)).await? else {
        return Ok(fence.map(|_| Barred::FenceLost(None)));
    };
    let lock = row.lock().map(Box::new);
    Ok(match (lock, fence) {
        (Some(lock), Some(fence)) if lock.fence == fence => None,
        (Some(lock), None) if lock.holder.user_id == caller.user => None,
        (Some(lock), None) => Some(Barred::Locked(lock)),
        (Some(lock), Some(_)) if lock.holder.user_id != caller.user => Some(Barred::Locked(lock)),
        (lock, Some(_)) => Some(Barred::FenceLost(lock)),
        (None, None) => None,
    })
}
