//! Acquires a lock that is free, or adds a device to the caller's own lock.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::events::{LockEnd, LockEvents};
use super::holder::LockHolder;
use super::row::{self, LockKey, LockRow};
use super::{Lock, LockClaim, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::log::records;
use crate::log::{Answered, Audience, NewEvent, claim_key, store_answer};
use crate::platform::Transaction;

/// A lock that the caller holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockGrant {
    pub lock: Lock,
    /// Whether this is a new grant, with a new fence.
    pub is_new: bool,
}

impl LockGrant {
    fn shared(lock: Lock) -> Self {
        let is_new = false;
        Self { lock, is_new }
    }
}

impl Locks {
    /// Takes the lock if it is free. If the caller holds it already, this device shares it.
    ///
    /// The event of a record that was just created can be committed while the record is being
    /// locked. Then its audience has changed, and one more try reads the new one.
    pub async fn acquire(
        &self,
        caller: &Caller,
        claim: &LockClaim,
    ) -> Result<Answered<LockGrant>, LockError> {
        match self.try_acquire(caller, claim).await {
            Err(LockError::Moved) => self.try_acquire(caller, claim).await,
            acquired => acquired,
        }
    }

    async fn try_acquire(
        &self,
        caller: &Caller,
        claim: &LockClaim,
    ) -> Result<Answered<LockGrant>, LockError> {
        let id = claim.key.as_ref();
        // A request with a key may be a repeat, whoever holds the lock now.
        if id.is_none()
            && let Some(lock) = self.share(caller, claim).await?
        {
            return Ok(Answered {
                answer: LockGrant::shared(lock),
                is_repeat: false,
            });
        }
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, id).await? {
            return Ok(answered);
        }
        let audience = audience_for(&mut transaction, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let row = row::lock_or_insert(&mut transaction, key).await?;
        let mut row = row.ok_or(LockError::Busy)?;
        if let Some(other) = row.held_by_other(&caller.user) {
            return Err(LockError::Locked(Box::new(row.lock_of(other))));
        }
        // Another of the caller's devices may have taken it in the meantime.
        if row.current_holder().is_some() {
            let lock = extend(&mut transaction, key, row, claim).await?;
            let answered = store_answer(&mut transaction, id, LockGrant::shared(lock)).await?;
            transaction.commit().await?;
            return Ok(answered);
        }
        let holder = LockHolder::granted(&caller.user, claim, audience, row.now)?;
        let events = grant(
            LockEvents(&self.modules),
            &mut row,
            holder,
            &LockEnd::Expired,
        );
        row::write(&mut transaction, key.broker, &row).await?;
        let lock = row.lock().ok_or(LockError::Busy)?;
        let is_new = true;
        let answered = store_answer(&mut transaction, id, LockGrant { lock, is_new }).await?;
        self.commit_grant(transaction, key, &row, events).await?;
        Ok(answered)
    }

    /// Reads the row without locking it first: neither a caller that is refused nor one that holds
    /// the lock already has to wait for a transaction that has the row.
    async fn share(&self, caller: &Caller, claim: &LockClaim) -> Result<Option<Lock>, LockError> {
        let mut connection = self.pool.acquire().await?;
        audience_for(&mut connection, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let Some(row) = row::read(&mut connection, key).await? else {
            return Ok(None);
        };
        if let Some(other) = row.held_by_other(&caller.user) {
            return Err(LockError::Locked(Box::new(row.lock_of(other))));
        }
        if row.current_holder().is_none() {
            return Ok(None);
        }
        let mut transaction = Transaction::begin(&mut connection).await?;
        let row = row::lock_details(&mut transaction, key).await?;
        let Some(row) = row.filter(|row| row.held_by(&caller.user).is_some()) else {
            return Ok(None);
        };
        let lock = extend(&mut transaction, key, row, claim).await?;
        transaction.commit().await?;
        Ok(Some(lock))
    }

    /// Appends the events of a grant and commits, unless the record's audience has changed.
    ///
    /// The audience was read before this transaction had the log. If the record has moved to
    /// another audience since, a `locked` event to the old one would make the old one its audience
    /// again: the newest event of a record decides who may see it.
    pub(super) async fn commit_grant(
        &self,
        mut transaction: Transaction<'_>,
        key: LockKey<'_>,
        row: &LockRow,
        events: Vec<NewEvent>,
    ) -> Result<(), LockError> {
        let pending = self.committer.append(&mut transaction, key.broker, events);
        let pending = pending.await?;
        if let (Some(log), Some(holder)) = (pending.log(), &row.holder) {
            let (record, first) = (key.record, log.first);
            let now = records::audience_before(&mut transaction, key.broker, record, first);
            if now.await?.unwrap_or(Audience::Broker) != holder.audience {
                return Err(LockError::Moved);
            }
        }
        Ok(self.committer.commit(transaction, pending).await?)
    }
}

/// Starts or renews the lease of one of the holder's devices.
pub(super) async fn extend(
    connection: &mut PgConnection,
    key: LockKey<'_>,
    mut row: LockRow,
    claim: &LockClaim,
) -> Result<Lock, LockError> {
    let now = row.now;
    if let Some(holder) = &mut row.holder {
        holder.extend(claim, now)?;
    }
    row::write(connection, key.broker, &row).await?;
    row.lock().ok_or(LockError::Busy)
}

/// Gives the lock to a new holder, and ends the grant of the former one.
pub(super) fn grant(
    events: LockEvents<'_>,
    row: &mut LockRow,
    holder: LockHolder,
    end: &LockEnd,
) -> Vec<NewEvent> {
    let former = row.holder.take();
    let unlocked = former.map(|former| events.unlocked(row, &former, end, &holder.audience));
    row.fence += 1;
    row.waiting.remove(&holder.user);
    let locked = events.locked(row, &holder);
    row.holder = Some(holder);
    unlocked.into_iter().chain([locked]).collect()
}
