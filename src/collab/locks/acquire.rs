//! Taking a lock that is free, or joining one's own.

use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::events::{End, Words};
use super::holder::LockHolder;
use super::row::{LockKey, LockRow, peek, take_or_make, touch, write};
use super::{Lock, LockClaim, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::log::records;
use crate::log::{Audience, NewEvent};

/// A lock that the caller holds.
#[derive(Clone, Debug)]
pub struct Granted {
    pub lock: Lock,
    /// Whether it is a new grant, with a new fence.
    pub is_new: bool,
}

impl Granted {
    fn joined(lock: Lock) -> Self {
        let is_new = false;
        Self { lock, is_new }
    }
}

impl Locks {
    /// Takes the lock where it is free; where the caller holds it, this device shares it.
    ///
    /// A record that was just made is told of a moment later: who looked before that looks again.
    pub async fn acquire(&self, caller: &Caller, claim: &LockClaim) -> Result<Granted, LockError> {
        match self.try_acquire(caller, claim).await {
            Err(LockError::Moved) => self.try_acquire(caller, claim).await,
            acquired => acquired,
        }
    }

    async fn try_acquire(&self, caller: &Caller, claim: &LockClaim) -> Result<Granted, LockError> {
        if let Some(lock) = self.join(caller, claim).await? {
            return Ok(Granted::joined(lock));
        }
        let mut transaction = self.pool.begin().await?;
        let audience = audience_for(&mut transaction, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let row = take_or_make(&mut transaction, key).await?;
        let mut row = row.ok_or(LockError::Busy)?;
        if let Some(other) = row.live_of_other(&caller.user) {
            return Err(LockError::Locked(Box::new(row.shown(other))));
        }
        // Another of the caller's devices may have been quicker.
        if row.live().is_some() {
            let lock = keep(&mut transaction, key, (row, claim)).await?;
            transaction.commit().await?;
            return Ok(Granted::joined(lock));
        }
        let words = Words(&self.modules);
        let held = LockHolder::granted(&caller.user, claim, audience, row.now)?;
        let events = replace(words, &mut row, held, &End::Expired);
        write(&mut transaction, key.broker, &row).await?;
        let lock = row.lock().ok_or(LockError::Busy)?;
        self.tell_grant(transaction, (key, &row), events).await?;
        let is_new = true;
        Ok(Granted { lock, is_new })
    }

    /// Looks first: who comes too late, and who has it already, need not wait for the row.
    async fn join(&self, caller: &Caller, claim: &LockClaim) -> Result<Option<Lock>, LockError> {
        let mut connection = self.pool.acquire().await?;
        audience_for(&mut connection, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let Some(row) = peek(&mut connection, key).await? else {
            return Ok(None);
        };
        if let Some(other) = row.live_of_other(&caller.user) {
            return Err(LockError::Locked(Box::new(row.shown(other))));
        }
        if row.live().is_none() {
            return Ok(None);
        }
        let mut transaction = connection.begin().await?;
        let row = touch(&mut transaction, key).await?;
        let Some(row) = row.filter(|row| row.live_of(&caller.user).is_some()) else {
            return Ok(None);
        };
        let lock = keep(&mut transaction, key, (row, claim)).await?;
        transaction.commit().await?;
        Ok(Some(lock))
    }

    /// Tells of a grant, if the record is still shown to those who are told.
    ///
    /// Once the log is ours, a record that was told to others since we looked is not told to
    /// those who saw it before, who would pass for its audience from then on.
    pub(super) async fn tell_grant(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        (key, row): (LockKey<'_>, &LockRow),
        events: Vec<NewEvent>,
    ) -> Result<(), LockError> {
        let pending = self.committer.append(&mut transaction, key.broker, events);
        let pending = pending.await?;
        if let (Some(log), Some(held)) = (pending.log(), &row.held) {
            let (record, first) = (key.record, log.first);
            let now = records::audience_before(&mut transaction, key.broker, record, first);
            if now.await?.unwrap_or(Audience::Broker) != held.audience {
                return Err(LockError::Moved);
            }
        }
        Ok(self.committer.commit(transaction, pending).await?)
    }
}

/// Writes a sign of one of the holder's devices.
pub(super) async fn keep(
    connection: &mut PgConnection,
    key: LockKey<'_>,
    (mut row, claim): (LockRow, &LockClaim),
) -> Result<Lock, LockError> {
    let now = row.now;
    if let Some(held) = &mut row.held {
        held.keep(claim, now)?;
    }
    write(connection, key.broker, &row).await?;
    row.lock().ok_or(LockError::Busy)
}

/// A new grant, which is the end of any before it.
pub(super) fn replace(
    words: Words<'_>,
    row: &mut LockRow,
    held: LockHolder,
    end: &End,
) -> Vec<NewEvent> {
    let former = row.held.take();
    let ended = former.map(|former| words.unlocked(row, &former, end));
    row.fence += 1;
    row.waiting.forget(&held.user);
    let locked = words.locked(row, &held);
    row.held = Some(held);
    ended.into_iter().chain([locked]).collect()
}
