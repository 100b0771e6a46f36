//! Giving a lock back.

use super::events::{End, Words};
use super::holder::LockHolder;
use super::row::{LockKey, LockRow, peek, take, write};
use super::waiting::Waiting;
use super::{LockError, Locks};
use crate::directory::audience_for;
use crate::identity::Caller;
use crate::platform::{RecordPath, SessionName};

impl Locks {
    /// One of the caller's devices lets go, or all of them. The last one frees the record.
    pub async fn release(
        &self,
        caller: &Caller,
        record: &RecordPath,
        session: Option<&SessionName>,
    ) -> Result<(), LockError> {
        let mut transaction = self.pool.begin().await?;
        let key = LockKey::of(caller, record);
        let is_own =
            |row: Option<&LockRow>| row.is_some_and(|row| row.live_of(&caller.user).is_some());
        let mut row = peek(&mut transaction, key).await?;
        if is_own(row.as_ref()) {
            row = take(&mut transaction, key).await?;
        }
        if !is_own(row.as_ref()) {
            // What is one's own can be given back also when the record has become another
            // team's; of anything else only those hear who may see it.
            audience_for(&mut transaction, caller, record).await?;
            return Err(not_yours(record, row.as_ref()));
        }
        let Some((mut row, mut held)) = row.and_then(parted) else {
            return Err(not_yours(record, None));
        };
        let mut events = Vec::new();
        match (held.leave(session, row.now), session) {
            (None, Some(session)) => return Err(LockError::UnknownSession(session.clone())),
            (Some(true), _) => row.held = Some(held),
            (Some(false), _) | (None, None) => {
                events = Words(&self.modules).freed(&row, &held, &End::Released);
                row.waiting = Waiting::default();
            }
        }
        write(&mut transaction, key.broker, &row).await?;
        self.committer
            .conclude(transaction, key.broker, events)
            .await?;
        Ok(())
    }
}

/// A row without its holder, and the holder.
fn parted(mut row: LockRow) -> Option<(LockRow, LockHolder)> {
    let held = row.held.take()?;
    Some((row, held))
}

fn not_yours(record: &RecordPath, row: Option<&LockRow>) -> LockError {
    match row.and_then(LockRow::lock) {
        Some(lock) => LockError::Locked(Box::new(lock)),
        None => LockError::NotLocked(record.clone()),
    }
}
