//! Releases a lock.

use super::events::{LockEnd, LockEvents};
use super::holder::LockHolder;
use super::row::{self, LockKey, LockRow};
use super::viewers::RecordViewers;
use super::waiting_users::WaitingUsers;
use super::{LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, claim_key, store_answer};
use crate::platform::{RecordPath, SessionName};

impl Locks {
    /// Removes one of the caller's devices from the lock, or all of them. When none is left, the
    /// lock is free. The answer is the fence of the grant; older versions stored none with a key.
    pub async fn release(
        &self,
        caller: &Caller,
        record: &RecordPath,
        session: Option<&SessionName>,
        id: Option<&IdempotencyKey>,
    ) -> Result<Answered<Option<i64>>, LockError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, id).await? {
            return Ok(answered);
        }
        let key = LockKey::of(caller, record);
        let is_own =
            |row: Option<&LockRow>| row.is_some_and(|row| row.held_by(&caller.user).is_some());
        let mut row = row::read(&mut transaction, key).await?;
        if is_own(row.as_ref()) {
            row = row::lock_exclusive(&mut transaction, key).await?;
        }
        let Some(mut row) = row.take_if(|row| is_own(Some(&*row))) else {
            // The caller may release an own lock even when the record has moved to another team.
            // Whether somebody else holds it is only for callers that may see the record.
            audience_for(&mut transaction, caller, record).await?;
            return Err(not_yours(record, row.as_ref()));
        };
        let former = release_row(&mut row, session)?;
        let mut events = Vec::new();
        if let Some(former) = former {
            let rows = std::slice::from_ref(&row);
            let viewers = RecordViewers::of(&mut transaction, key.broker, rows).await?;
            events = LockEvents(&self.modules).freed(&row, &former, &LockEnd::Released, &viewers);
            row.waiting = WaitingUsers::default();
        }
        row::write(&mut transaction, key.broker, &row).await?;
        let answered = store_answer(&mut transaction, id, Some(row.fence)).await?;
        self.committer
            .conclude(transaction, key.broker, events)
            .await?;
        Ok(answered)
    }
}

/// Removes a device, or all of them. Returns the holder if none is left.
fn release_row(
    row: &mut LockRow,
    session: Option<&SessionName>,
) -> Result<Option<LockHolder>, LockError> {
    let Some(mut holder) = row.holder.take() else {
        return Err(LockError::NotLocked(row.record.clone()));
    };
    match (holder.release(session, row.now), session) {
        (None, Some(session)) => Err(LockError::UnknownSession(session.clone())),
        (Some(true), _) => {
            row.holder = Some(holder);
            Ok(None)
        }
        (Some(false), _) | (None, None) => Ok(Some(holder)),
    }
}

fn not_yours(record: &RecordPath, row: Option<&LockRow>) -> LockError {
    match row.and_then(LockRow::lock) {
        Some(lock) => LockError::Locked(Box::new(lock)),
        None => LockError::NotLocked(record.clone()),
    }
}
