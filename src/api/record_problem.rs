//! The problems of records: why a request is refused, and what the client can do.

use actix_web::http::StatusCode;
use serde::Serialize;

use super::problem::{Code, Problem};
use crate::collab::Lock;
use crate::directory::RecordError;
use crate::log::{PublishError, timestamp};
use crate::records::{FieldError, FieldFault, RecordsError, Stale};
use crate::stream::UnknownScope;

/// A refused field in the body of a problem.
#[derive(Serialize)]
struct ErrorJson<'a> {
    field: &'a str,
    code: Code,
    reason: &'a str,
}

impl From<RecordsError> for Problem {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::NoRecords(module) => {
                let detail = format!(
                    "Records of {module} are not stored here. GET /records lists the modules that are."
                );
                Self::new(StatusCode::NOT_FOUND, Code::NoRecords, detail).at("module")
            }
            RecordsError::Unknown(record) => RecordError::Unknown(record).into(),
            RecordsError::UnknownTeam(team) => UnknownScope::Team(team).into(),
            RecordsError::Invalid(errors) => invalid(&errors),
            RecordsError::Parameter { field, reason } => Self::bad_parameter(field, reason),
            RecordsError::IdTaken => {
                // It does not say whether the caller may see the record that has the id.
                let detail = "This id cannot be used. Choose another one, or leave out `id`: then the \
                              service makes one.";
                Self::new(StatusCode::CONFLICT, Code::IdTaken, detail).at("id")
            }
            RecordsError::NotYourTeam(team) => {
                let detail = format!("You are not on the team {team}. Admins may give it records.");
                Self::new(StatusCode::FORBIDDEN, Code::NotYourTeam, detail).at("teamId")
            }
            RecordsError::NotOwner => {
                let detail =
                    "Only the owner of the record and admins may give it to another owner.";
                Self::new(StatusCode::FORBIDDEN, Code::NotOwner, detail).at("ownerId")
            }
            RecordsError::PrivateField(field) => {
                let detail = format!(
                    "{field} is private to the owner of the record and to admins. Leave it out of \
                     the change."
                );
                Self::new(StatusCode::FORBIDDEN, Code::PrivateField, detail).at(field)
            }
            RecordsError::Stale(stale) => conflict(&stale),
            RecordsError::Quota(quota) => quota.into(),
            RecordsError::KeyReused => PublishError::KeyReused.into(),
            RecordsError::Archived => {
                let detail = "The record is archived. Restore it to change it.";
                Self::new(StatusCode::CONFLICT, Code::Archived, detail)
            }
            RecordsError::Locked(lock) => locked(&lock),
            RecordsError::FenceLost(lock) => fence_lost(lock.as_deref()),
            RecordsError::Busy => Self::unavailable(
                Code::Busy,
                "Another request is changing this record or its lock. Nothing was changed. Try again.",
            ),
            RecordsError::Database(error) => Self::database(&error),
        }
    }
}

/// `field` names the first field at fault; `errors` has all of them.
fn invalid(errors: &[FieldError]) -> Problem {
    let errors_json: Vec<_> = errors.iter().map(error_json).collect();
    let detail = errors_json.first().map_or(String::new(), |first| {
        format!("{} {}.", first.field, first.reason)
    });
    let problem = match errors.first().map(|error| error.fault) {
        Some(FieldFault::Unknown) => Problem::bad_request(Code::UnknownField, detail),
        Some(FieldFault::ReadOnly) => Problem::bad_request(Code::ReadOnlyField, detail),
        Some(FieldFault::Invalid) | None => Problem::bad_request(Code::InvalidField, detail),
    };
    let first = errors_json.first().map_or("body", |first| first.field);
    problem.at(first).with("errors", &errors_json)
}

fn error_json(error: &FieldError) -> ErrorJson<'_> {
    let code = match error.fault {
        FieldFault::Unknown => Code::UnknownField,
        FieldFault::ReadOnly => Code::ReadOnlyField,
        FieldFault::Invalid => Code::InvalidField,
    };
    ErrorJson {
        field: &error.field,
        code,
        reason: &error.reason,
    }
}

fn conflict(stale: &Stale) -> Problem {
    let asked = stale.asked;
    let why = if asked > stale.version {
        format!("The record has not reached version {asked} yet.")
    } else if stale.fields.is_empty() {
        format!(
            "The record has changed since version {asked}. Others changed none of your fields: \
             ?merge=fields would apply a PATCH."
        )
    } else {
        let fields = stale.fields.join(", ");
        format!("The record has changed since version {asked}. Others also changed {fields}.")
    };
    let detail = format!("{why} Nothing was changed. `record` is the current record.");
    Problem::new(StatusCode::CONFLICT, Code::Stale, detail)
        .at("If-Match")
        .with("version", &stale.asked)
        .with("record", &stale.record)
        .with("fields", &stale.fields)
}

fn locked(lock: &Lock) -> Problem {
    let detail = format!(
        "{} has locked the record until {}. Wait for the end of the lock, or ask for it with POST \
         /locks/{}/{}/request.",
        lock.holder.user_id,
        timestamp(lock.locked_until),
        lock.module,
        lock.record_id,
    );
    Problem::new(StatusCode::LOCKED, Code::Locked, detail).with("lock", lock)
}

fn fence_lost(lock: Option<&Lock>) -> Problem {
    let detail = "This Lock-Fence is no longer that of the lock. Nothing was changed. Lock the \
                  record again, and read it before you write.";
    let problem = Problem::new(StatusCode::LOCKED, Code::FenceLost, detail).at("Lock-Fence");
    match lock {
        Some(lock) => problem.with("lock", lock),
        None => problem,
    }
}
