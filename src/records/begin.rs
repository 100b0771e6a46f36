//! Begins the transaction of a write: claims its key, and locks or inserts its record.

use serde::de::DeserializeOwned;

use super::error::RecordsError;
use super::fields::RecordKind;
use super::queue::RecordTurn;
use super::record::may_see;
use super::row::{self, RecordKey, RecordRow};
use super::stale::refuse_stale;
use super::wait::{self, RowWait};
use super::{RecordChange, RecordFields, Records};
use crate::collab::check_write;
use crate::directory::rights;
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, claim_key};
use crate::platform::Transaction;

/// A record that a transaction has locked.
pub(super) struct LockedRecord<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) row: RecordRow,
    /// The turn of a write to a known record, until the transaction has ended.
    pub(super) turn: Option<RecordTurn>,
}

/// The first step of a write: the record is locked, or an earlier request with the key has the answer.
pub(super) enum Begun<'a, T> {
    Locked(Box<LockedRecord<'a>>),
    Answered(Answered<T>),
}

/// A new record of a caller's.
#[derive(Clone, Copy)]
pub(super) struct Insertion<'a> {
    pub(super) caller: &'a Caller,
    pub(super) kind: &'a RecordKind,
    pub(super) fields: &'a RecordFields,
    pub(super) key: Option<&'a IdempotencyKey>,
}

impl Records {
    /// Inserts a row. It may have to wait for another transaction that inserts the same id, or that has
    /// the same key.
    pub(super) async fn insert<T: DeserializeOwned>(
        &self,
        insertion: Insertion<'_>,
    ) -> Result<Begun<'static, T>, RecordsError> {
        match self.try_insert(insertion, RowWait::Short).await {
            Err(RecordsError::Busy) => {}
            outcome => return outcome,
        }
        let _permit = self.waits.permit().await?;
        self.try_insert(insertion, RowWait::Full).await
    }

    async fn try_insert<T: DeserializeOwned>(
        &self,
        insertion: Insertion<'_>,
        wait: RowWait,
    ) -> Result<Begun<'static, T>, RecordsError> {
        let Insertion {
            caller,
            kind,
            fields,
            key,
        } = insertion;
        let mut transaction = self.pool.begin().await?;
        wait::set_user(&mut transaction, &caller.user, wait).await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(Begun::Answered(answered));
        }
        let row = row::insert(&mut transaction, &caller.broker, kind, fields).await;
        let row = row.map_err(|error| RecordsError::of_write(error, kind))?;
        Ok(Begun::Locked(Box::new(LockedRecord {
            transaction,
            row,
            turn: None,
        })))
    }

    /// Locks a record. It may have to wait for another transaction.
    pub(super) async fn lock<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        change: &RecordChange,
    ) -> Result<Begun<'static, T>, RecordsError> {
        let turn = self.queues.turn(&caller.broker, &change.record).await?;
        let mut begun = match self.try_lock(caller, change, RowWait::Short).await {
            Err(RecordsError::Busy) => {
                let _permit = self.waits.permit().await?;
                self.try_lock(caller, change, RowWait::Full).await
            }
            outcome => outcome,
        }?;
        if let Begun::Locked(locked) = &mut begun {
            locked.turn = Some(turn);
        }
        Ok(begun)
    }

    /// Locks the lock's row first, and then the record's. A caller who may not see the record learns
    /// nothing about the lock.
    async fn try_lock<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        change: &RecordChange,
        wait: RowWait,
    ) -> Result<Begun<'static, T>, RecordsError> {
        let mut transaction = self.pool.begin().await?;
        wait::set_user(&mut transaction, &caller.user, wait).await?;
        if let Some(answered) = claim_key(&mut transaction, change.key.as_ref()).await? {
            return Ok(Begun::Answered(answered));
        }
        let (record, fence) = (&change.record, change.fence);
        let conflict = check_write(&mut transaction, caller, record, fence).await?;
        let row = row::lock(&mut transaction, key(caller, change)).await?;
        let row = row.filter(|row| may_see(row, caller));
        let row = row.ok_or_else(|| RecordsError::Unknown(change.record.clone()))?;
        match conflict {
            Some(conflict) => Err(conflict.into()),
            None => Ok(Begun::Locked(Box::new(LockedRecord {
                transaction,
                row,
                turn: None,
            }))),
        }
    }

    /// Locks a record that has not changed since the writer read it.
    pub(super) async fn lock_unchanged<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        change: &RecordChange,
        kind: &RecordKind,
    ) -> Result<Begun<'static, T>, RecordsError> {
        let begun = self.lock(caller, change).await?;
        if let Begun::Locked(locked) = &begun {
            let (reader, fields) = (rights::of(caller), RecordFields::default());
            refuse_stale(&change.precondition(), &locked.row, kind, &reader, &fields)?;
        }
        Ok(begun)
    }
}

pub(super) fn key<'a>(caller: &'a Caller, change: &'a RecordChange) -> RecordKey<'a> {
    RecordKey {
        broker: &caller.broker,
        record: &change.record,
    }
}
