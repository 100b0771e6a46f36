//! Why a record is not read or written.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::error::{DatabaseError, ErrorKind};

use super::fields::Kind;
use super::parse::{Fault, FieldError};
use crate::collab::{Barred, Lock};
use crate::platform::{ModuleName, RecordPath, TeamId};

/// Lock timeout and deadlock: somebody else was quicker, and is still at it.
const BUSY: [&str; 2] = ["55P03", "40P01"];
/// Values that the database cannot read. Its words for that may repeat them.
const DATA: &str = "22";

/// A write that began from a record which has changed since.
#[derive(Clone, Debug)]
pub struct Stale {
    /// The version that it began from.
    pub asked: i64,
    /// The version that there is.
    pub version: i64,
    /// The record now, as the caller sees it.
    pub record: Arc<RawValue>,
    /// The fields that both have changed.
    pub fields: Vec<String>,
}

/// Why a record is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// Records of this module are not kept here.
    #[error("there are no records of {0} here")]
    NoRecords(ModuleName),
    /// There is none that the caller may see.
    #[error("there is no record {0} that you may see")]
    Unknown(RecordPath),
    /// Fields that cannot be written like this.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// Parameters of a list, or a value that the database cannot read.
    #[error("{field} {reason}")]
    Parameter { field: &'static str, reason: String },
    /// A list is asked of a team that is none of the caller's.
    #[error("there is no team {0} of yours")]
    UnknownTeam(TeamId),
    /// There is a record of this id, whoever sees it.
    #[error("the id cannot be used")]
    IdTaken,
    /// The caller is not on the team that is to have the record.
    #[error("you are not on the team {0}")]
    NotYourTeam(TeamId),
    /// Only the owner and admins give a record to another.
    #[error("the record is not yours to give away")]
    NotOwner,
    /// Only the owner and admins write what only they see.
    #[error("{0} is private to the owner of the record")]
    PrivateField(String),
    /// The record has changed since.
    #[error("the record has changed since version {}", .0.asked)]
    Stale(Box<Stale>),
    #[error("the record is archived")]
    Archived,
    /// Somebody else holds its lock.
    #[error("{} holds the lock", .0.holder.user_id)]
    Locked(Box<Lock>),
    /// The lock that the caller had in mind is held no more.
    #[error("the lock with this fence is held no more")]
    FenceLost(Option<Box<Lock>>),
    /// Somebody is at it; nothing was changed.
    #[error("somebody else is changing the record")]
    Busy,
    /// The database did not answer.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for RecordsError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        match code.as_deref() {
            Some(code) if BUSY.contains(&code) => Self::Busy,
            Some(code) if code.starts_with(DATA) => Self::Parameter {
                field: "body",
                reason: "has a value that cannot be kept".to_owned(),
            },
            _ => Self::Database(error),
        }
    }
}

impl From<Barred> for RecordsError {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::Locked(lock) => Self::Locked(lock),
            Barred::FenceLost(lock) => Self::FenceLost(lock),
        }
    }
}

impl RecordsError {
    /// A write that the table refused: the constraint says which field is at fault.
    pub(super) fn of_write(error: sqlx::Error, kind: &Kind) -> Self {
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
                fault: Fault::Invalid,
                reason: rule.reason.clone(),
            }]),
            // A rule that somebody has added by a name of their own.
            None => Self::Parameter {
                field: "body",
                reason: "breaks a rule of the table".to_owned(),
            },
        }
    }
}
