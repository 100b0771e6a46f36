//! Errors of records.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::error::{DatabaseError, ErrorKind};

use super::fields::RecordKind;
use super::parse::{FieldError, FieldFault};
use crate::collab::{Lock, LockConflict};
use crate::log::KeyError;
use crate::platform::database::is_contended;
use crate::platform::{ModuleName, QuotaExceeded, RecordPath, TeamId};

/// Values that the database cannot read. Its message may contain them.
const DATA: &str = "22";

/// A write of a record that has changed since the writer read it.
#[derive(Clone, Debug)]
pub struct Stale {
    /// The version that the writer read.
    pub asked: i64,
    /// The version now.
    pub version: i64,
    /// The record now, as the caller may see it.
    pub record: Arc<RawValue>,
    /// The fields that both changed.
    pub fields: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The module has no table.
    #[error("there are no records of {0} here")]
    NoRecords(ModuleName),
    /// There is no such record, or the caller may not see it.
    #[error("there is no record {0} that you may see")]
    Unknown(RecordPath),
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// A wrong parameter of a list, or a value that the database cannot read.
    #[error("{field} {reason}")]
    Parameter { field: &'static str, reason: String },
    #[error("you are not on the team {0}")]
    UnknownTeam(TeamId),
    /// Another record has this id. The caller may not be allowed to see it.
    #[error("the id cannot be used")]
    IdTaken,
    /// The caller is not on the new team of the record.
    #[error("you are not on the team {0}")]
    NotYourTeam(TeamId),
    /// Only the owner and admins may change the owner.
    #[error("only the owner and admins may change the owner")]
    NotOwner,
    /// Only the owner and admins may write private fields.
    #[error("{0} is private to the owner of the record")]
    PrivateField(String),
    #[error("the record has changed since version {}", .0.asked)]
    Stale(Box<Stale>),
    #[error("the record is archived")]
    Archived,
    #[error("{} holds the lock", .0.holder.user_id)]
    Locked(Box<Lock>),
    /// No lock with the fence of the request is held.
    #[error("no lock with this fence is held")]
    FenceLost(Option<Box<Lock>>),
    #[error(transparent)]
    Quota(QuotaExceeded),
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// Another transaction has the record. Nothing was changed.
    #[error("another request is changing the record")]
    Busy,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for RecordsError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(quota) = QuotaExceeded::of(&error) {
            return Self::Quota(quota);
        }
        if is_contended(&error) {
            return Self::Busy;
        }
        let code = error.as_database_error().and_then(DatabaseError::code);
        match code.as_deref() {
            Some(code) if code.starts_with(DATA) => Self::Parameter {
                field: "body",
                reason: "has a value that cannot be stored".to_owned(),
            },
            _ => Self::Database(error),
        }
    }
}

impl From<KeyError> for RecordsError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::Database(error) => error.into(),
        }
    }
}

impl From<LockConflict> for RecordsError {
    fn from(conflict: LockConflict) -> Self {
        match conflict {
            LockConflict::Locked(lock) => Self::Locked(lock),
            LockConflict::FenceLost(lock) => Self::FenceLost(lock),
        }
    }
}

impl RecordsError {
    /// The error of a write that the table refused. The constraint names the wrong field.
    pub(super) fn of_write(error: sqlx::Error, kind: &RecordKind) -> Self {
        let refusal = error.as_database_error();
        if refusal.is_some_and(|e| e.kind() == ErrorKind::UniqueViolation) {
            return Self::IdTaken;
        }
        let Some(check) = refusal.filter(|e| e.kind() == ErrorKind::CheckViolation) else {
            return error.into();
        };
        match check.constraint().and_then(|name| kind.rules.get(name)) {
            Some(rule) => Self::Invalid(vec![FieldError {
                field: rule.field.clone(),
                fault: FieldFault::Invalid,
                reason: rule.reason.clone(),
            }]),
            // A constraint that has no reason in the catalogue.
            None => Self::Parameter {
                field: "body",
                reason: "breaks a rule of the table".to_owned(),
            },
        }
    }
}
