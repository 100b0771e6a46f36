//! Going on holding a lock.

use super::acquire::keep;
use super::row::{LockKey, touch};
use super::{Lock, LockClaim, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;

impl Locks {
    /// Lengthens the lease of one of the caller's devices. What is over is not granted anew:
    /// somebody else may have written meanwhile.
    pub async fn renew(&self, caller: &Caller, claim: &LockClaim) -> Result<Lock, LockError> {
        let mut transaction = self.pool.begin().await?;
        audience_for(&mut transaction, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let not_locked = || LockError::NotLocked(claim.record.clone());
        let row = touch(&mut transaction, key).await?;
        let row = row.ok_or_else(not_locked)?;
        let held = row.live().ok_or_else(not_locked)?;
        if held.user != caller.user {
            return Err(LockError::Locked(Box::new(row.shown(held))));
        }
        if !held.sessions.has(&claim.session, row.now) {
            return Err(LockError::UnknownSession(claim.session.clone()));
        }
        let lock = keep(&mut transaction, key, (row, claim)).await?;
        transaction.commit().await?;
        Ok(lock)
    }
}
