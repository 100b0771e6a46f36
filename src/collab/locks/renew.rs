//! Renews the lease of a lock.

use super::acquire::extend;
use super::row::{self, LockKey};
use super::{Lock, LockClaim, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::log::{Answered, claim_key, store_answer};

impl Locks {
    /// Renews the lease of one of the caller's devices. A lease that has expired is not granted
    /// again: somebody else may have written in the meantime.
    pub async fn renew(
        &self,
        caller: &Caller,
        claim: &LockClaim,
    ) -> Result<Answered<Lock>, LockError> {
        let mut transaction = self.pool.begin().await?;
        let id = claim.key.as_ref();
        if let Some(answered) = claim_key(&mut transaction, id).await? {
            return Ok(answered);
        }
        audience_for(&mut transaction, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let not_locked = || LockError::NotLocked(claim.record.clone());
        let row = row::lock_details(&mut transaction, key).await?;
        let row = row.ok_or_else(not_locked)?;
        let holder = row.current_holder().ok_or_else(not_locked)?;
        if holder.user != caller.user {
            return Err(LockError::Locked(Box::new(row.lock_of(holder))));
        }
        if !holder.sessions.contains(&claim.session, row.now) {
            return Err(LockError::UnknownSession(claim.session.clone()));
        }
        let lock = extend(&mut transaction, key, row, claim).await?;
        let answered = store_answer(&mut transaction, id, lock).await?;
        transaction.commit().await?;
        Ok(answered)
    }
}
