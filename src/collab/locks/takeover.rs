//! Taking a lock from its holder.

use std::time::Duration;

use super::acquire::replace;
use super::events::{End, Words};
use super::holder::LockHolder;
use super::row::{LockKey, LockRow, take_or_make, write};
use super::{Holder, Lock, LockClaim, LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::platform::UserId;

/// By what right one takes what somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeoverRight {
    /// An admin needs no other.
    Admin,
    /// This holder is offline. The lock must have been silent as well, for so long.
    HolderGone {
        holder: UserId,
        /// For how long there must have been no sign.
        grace: Duration,
    },
    /// By none: only what is free may be taken.
    No,
}

impl TakeoverRight {
    /// On the database's clock, and for the one who was seen to be offline.
    fn covers(&self, row: &LockRow, held: &LockHolder) -> bool {
        match self {
            Self::Admin => true,
            Self::HolderGone { holder, grace } => {
                held.user == *holder && held.renewed_at + *grace <= row.now
            }
            Self::No => false,
        }
    }
}

impl Locks {
    /// Takes the lock, whoever holds it: a new grant with a new fence. Waits for a
    /// transaction that has checked the old one.
    pub async fn take_over(
        &self,
        caller: &Caller,
        claim: &LockClaim,
        right: &TakeoverRight,
    ) -> Result<Lock, LockError> {
        let mut transaction = self.pool.begin().await?;
        let audience = audience_for(&mut transaction, caller, &claim.record).await?;
        let key = LockKey::of(caller, &claim.record);
        let row = take_or_make(&mut transaction, key).await?;
        let mut row = row.ok_or(LockError::Busy)?;
        let end = match row.live() {
            None => End::Expired,
            Some(held) => may_take(caller, (&row, held), right).map(|()| {
                End::TakenOver(Holder {
                    user_id: caller.user.clone(),
                    session: claim.session.clone(),
                })
            })?,
        };
        let held = LockHolder::granted(&caller.user, claim, audience, row.now)?;
        let events = replace(Words(&self.modules), &mut row, held, &end);
        write(&mut transaction, key.broker, &row).await?;
        let lock = row.lock().ok_or(LockError::Busy)?;
        self.tell_grant(transaction, (key, &row), events).await?;
        Ok(lock)
    }
}

fn may_take(
    caller: &Caller,
    (row, held): (&LockRow, &LockHolder),
    right: &TakeoverRight,
) -> Result<(), LockError> {
    let lock = || Box::new(row.shown(held));
    if held.user == caller.user {
        return Err(LockError::OwnLock(lock()));
    }
    if !right.covers(row, held) {
        return Err(LockError::TakeoverRefused(lock()));
    }
    Ok(())
}
