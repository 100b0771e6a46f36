//! Why a record is refused, as clients are told it, and what can be done.

use actix_web::http::StatusCode;
use serde::Serialize;

use super::problem::{Code, Problem};
use crate::collab::Lock;
use crate::directory::RecordError;
use crate::log::timestamp;
use crate::records::{Fault, FieldError, RecordsError, Stale};
use crate::stream::UnknownScope;

/// A field that was refused, as bodies show it.
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
                let detail =
                    format!("Records of {module} are not kept here. GET /records lists what is.");
                Self::new(StatusCode::NOT_FOUND, Code::NoRecords, detail).at("module")
            }
            RecordsError::Unknown(record) => RecordError::Unknown(record).into(),
            RecordsError::UnknownTeam(team) => UnknownScope::Team(team).into(),
            RecordsError::Invalid(errors) => invalid(&errors),
            RecordsError::Parameter { field, reason } => Self::bad_parameter(field, reason),
            RecordsError::IdTaken => {
                // The same whether the caller sees the record that has it or not.
                let detail = "This id cannot be used. Choose another, or leave `id` out to have one \
                              made.";
                Self::new(StatusCode::CONFLICT, Code::IdTaken, detail).at("id")
            }
            RecordsError::NotYourTeam(team) => {
                let detail = format!("You are not on the team {team}; admins may give it records.");
                Self::new(StatusCode::FORBIDDEN, Code::NotYourTeam, detail).at("teamId")
            }
            RecordsError::NotOwner => {
                let detail = "Only the owner of the record and admins may give it to another.";
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
            RecordsError::Archived => {
                let detail = "The record is archived. Restore it to change it.";
                Self::new(StatusCode::CONFLICT, Code::Archived, detail)
            }
            RecordsError::Locked(lock) => locked(&lock),
            RecordsError::FenceLost(lock) => fence_lost(lock.as_deref()),
            RecordsError::Busy => Self::unavailable(
                Code::Busy,
                "Somebody else is changing this record or its lock. Nothing was changed. Try \
                 again.",
            ),
            RecordsError::Database(error) => Self::database(&error),
        }
    }
}

/// The first field at fault is named as always; all of them are shown.
fn invalid(errors: &[FieldError]) -> Problem {
    let shown: Vec<_> = errors.iter().map(shown).collect();
    let detail = shown.first().map_or(String::new(), |first| {
        format!("{} {}.", first.field, first.reason)
    });
    let problem = match errors.first().map(|error| error.fault) {
        Some(Fault::Unknown) => Problem::bad_request(Code::UnknownField, detail),
        Some(Fault::ReadOnly) => Problem::bad_request(Code::ReadOnlyField, detail),
        Some(Fault::Invalid) | None => Problem::bad_request(Code::InvalidField, detail),
    };
    let first = shown.first().map_or("body", |first| first.field);
    problem.at(first).showing("errors", &shown)
}

fn shown(error: &FieldError) -> ErrorJson<'_> {
    let code = match error.fault {
        Fault::Unknown => Code::UnknownField,
        Fault::ReadOnly => Code::ReadOnlyField,
        Fault::Invalid => Code::InvalidField,
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
        format!("The record is not of version {asked} yet.")
    } else if stale.fields.is_empty() {
        format!(
            "The record has changed since version {asked}. None of your fields were changed by \
             others: ?merge=fields would apply a PATCH."
        )
    } else {
        let fields = stale.fields.join(", ");
        format!("The record has changed since version {asked}. Others have changed {fields}, too.")
    };
    let detail = format!("{why} Nothing was changed; `record` is how it is now.");
    Problem::new(StatusCode::CONFLICT, Code::Stale, detail)
        .at("If-Match")
        .showing("version", &stale.asked)
        .showing("record", &stale.record)
        .showing("fields", &stale.fields)
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
    Problem::new(StatusCode::LOCKED, Code::Locked, detail).showing("lock", lock)
}

fn fence_lost(lock: Option<&Lock>) -> Problem {
    let detail = "The lock is not held with this Lock-Fence any more. Nothing was changed. Lock \
                  the record again, and look at it before you write.";
    let problem = Problem::new(StatusCode::LOCKED, Code::FenceLost, detail).at("Lock-Fence");
    match lock {
        Some(lock) => problem.showing("lock", lock),
        None => problem,
    }
}
