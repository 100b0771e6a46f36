//! Takes a lock from its holder.

use std::time::Duration;

use super::acquire::grant;
use super::events::{LockEnd, LockEvents};
use super::holder::LockHolder;
use super::row::{self, LockKey, LockRow};
use super::{Holder, Lock, LockClaim, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::log::{Answered, claim_key, store_answer};
use crate::platform::UserId;

/// Why a caller may take a lock that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeoverRight {
    Admin,
    /// This holder is offline. Besides, the lock must not have been renewed for `grace`.
    HolderGone {
        holder: UserId,
        grace: Duration,
    },
    /// Only a lock that is free may be taken.
    No,
}

impl TakeoverRight {
    /// The right is for the holder that was found offline, and not for the next one.
    fn covers(&self, row: &LockRow, current: &LockHolder) -> bool {
        match self {
            Self::Admin => true,
            Self::HolderGone { holder, grace } => {
                current.user == *holder && current.renewed_at + *grace <= row.now
            }
            Self::No => false,
        }
    }
}

impl Locks {
    /// Grants the lock to the caller, with a new fence. Waits for transactions that have checked the
    /// old fence.
    pub async fn take_over(
        &self,
        caller: &Caller,
        claim: &LockClaim,
        right: &TakeoverRight,
    ) -> Result<Answered<Lock>, LockError> {
        let mut transaction = self.pool.begin().await?;
        let id = claim.key.as_ref();
        if let Some(answered) = claim_key(&mut transaction, id).await? {
            return Ok(answered);
        }
        let audience = audience_for(&mut transaction, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let row = row::lock_or_insert(&mut transaction, key).await?;
        let mut row = row.ok_or(LockError::Busy)?;
        let end = match row.current_holder() {
            None => LockEnd::Expired,
            Some(current) => check_right(caller, &row, current, right).map(|()| {
                LockEnd::TakenOver(Holder {
                    user_id: caller.user.clone(),
                    session: claim.session.clone(),
                })
            })?,
        };
        let holder = LockHolder::granted(&caller.user, claim, audience, row.now)?;
        let events = grant(LockEvents(&self.modules), &mut row, holder, &end);
        row::write(&mut transaction, key.broker, &row).await?;
        let lock = row.lock().ok_or(LockError::Busy)?;
        let answered = store_answer(&mut transaction, id, lock).await?;
        self.commit_grant(transaction, key, &row, events).await?;
        Ok(answered)
    }
}

fn check_right(
    caller: &Caller,
    row: &LockRow,
    current: &LockHolder,
    right: &TakeoverRight,
) -> Result<(), LockError> {
    let lock = || Box::new(row.lock_of(current));
    if current.user == caller.user {
        return Err(LockError::OwnLock(lock()));
    }
    if !right.covers(row, current) {
        return Err(LockError::TakeoverRefused(lock()));
    }
    Ok(())
}
