//! Asks the holder for a lock.

use super::events::{LockEvents, LockRequester};
use super::row::{self, LockKey};
use super::{Lock, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, claim_key, store_answer};
use crate::platform::{RecordPath, SessionName};

impl Locks {
    /// Publishes to the holder that the caller waits. When the lock is free, the caller gets an
    /// event.
    pub async fn request(
        &self,
        caller: &Caller,
        record: &RecordPath,
        session: Option<&SessionName>,
        id: Option<&IdempotencyKey>,
    ) -> Result<Answered<Lock>, LockError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, id).await? {
            return Ok(answered);
        }
        audience_for(&mut transaction, caller, record).await?;
        let key = LockKey::of(caller, record);
        let not_locked = || LockError::NotLocked(record.clone());
        let row = row::lock_details(&mut transaction, key).await?;
        let mut row = row.ok_or_else(not_locked)?;
        let holder = row.current_holder().ok_or_else(not_locked)?;
        if holder.user == caller.user {
            return Err(LockError::OwnLock(Box::new(row.lock_of(holder))));
        }
        let holder = holder.user.clone();
        let mut events = Vec::new();
        if row.waiting.add(&caller.user, row.now)? {
            let user = &caller.user;
            let requester = LockRequester { user, session };
            events.push(LockEvents(&self.modules).requested(record, &holder, requester));
            row::write(&mut transaction, key.broker, &row).await?;
        }
        let lock = row.lock().ok_or_else(not_locked)?;
        let answered = store_answer(&mut transaction, id, lock).await?;
        self.committer
            .conclude(transaction, key.broker, events)
            .await?;
        Ok(answered)
    }
}
