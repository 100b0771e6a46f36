//! Asking the holder for a lock.

use super::events::Words;
use super::row::{LockKey, touch, write};
use super::{Lock, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::platform::{RecordPath, SessionName};

impl Locks {
    /// Tells the holder that the caller waits, and the caller once it is free.
    pub async fn request(
        &self,
        caller: &Caller,
        record: &RecordPath,
        session: Option<&SessionName>,
    ) -> Result<Lock, LockError> {
        let mut transaction = self.pool.begin().await?;
        audience_for(&mut transaction, caller, record).await?;
        let key = LockKey::of(caller, record);
        let not_locked = || LockError::NotLocked(record.clone());
        let row = touch(&mut transaction, key).await?;
        let mut row = row.ok_or_else(not_locked)?;
        let held = row.live().ok_or_else(not_locked)?;
        if held.user == caller.user {
            return Err(LockError::OwnLock(Box::new(row.shown(held))));
        }
        let holder = held.user.clone();
        let mut events = Vec::new();
        if row.waiting.ask(&caller.user, row.now)? {
            let by = (&caller.user, session);
            events.push(Words(&self.modules).requested(record, &holder, by));
            write(&mut transaction, key.broker, &row).await?;
        }
        let lock = row.lock().ok_or_else(not_locked)?;
        self.committer
            .conclude(transaction, key.broker, events)
            .await?;
        Ok(lock)
    }
}
