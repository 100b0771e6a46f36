//! Why a record is refused, as clients are told it, and what can be done.

use actix_web::http::StatusCode;
use serde::Serialize;

use super::problem::Problem;
use crate::crm::{CrmError, Fault, FieldError, Stale};
use crate::event::json::timestamp;
use crate::locks::Lock;
use crate::records::RecordError;
use crate::stream::scope::UnknownScope;

/// A field that was refused, as bodies show it.
#[derive(Serialize)]
struct ErrorJson<'a> {
    field: &'a str,
    code: &'static str,
    reason: &'a str,
}

impl From<CrmError> for Problem {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::NoRecords(module) => {
                let detail =
                    format!("Records of {module} are not kept here. GET /records lists what is.");
                Self::new(StatusCode::NOT_FOUND, "no_records", detail).at("module")
            }
            CrmError::Unknown(record) => RecordError::Unknown(record).into(),
            CrmError::UnknownTeam(team) => UnknownScope::Team(team).into(),
            CrmError::Invalid(errors) => invalid(&errors),
            CrmError::Parameter { field, reason } => Self::bad_parameter(field, reason),
            CrmError::IdTaken => {
                // The same whether the caller sees the record that has it or not.
                let detail = "This id cannot be used. Choose another, or leave `id` out to have one \
                              made.";
                Self::new(StatusCode::CONFLICT, "id_taken", detail).at("id")
            }
            CrmError::NotYourTeam(team) => {
                let detail = format!("You are not on the team {team}; admins may give it records.");
                Self::new(StatusCode::FORBIDDEN, "not_your_team", detail).at("teamId")
            }
            CrmError::NotOwner => {
                let detail = "Only the owner of the record and admins may give it to another.";
                Self::new(StatusCode::FORBIDDEN, "not_owner", detail).at("ownerId")
            }
            CrmError::PrivateField(field) => {
                let detail = format!(
                    "{field} is private to the owner of the record and to admins. Leave it out of \
                     the change."
                );
                Self::new(StatusCode::FORBIDDEN, "private_field", detail).at(field)
            }
            CrmError::Stale(stale) => conflict(&stale),
            CrmError::Archived => {
                let detail = "The record is archived. Restore it to change it.";
                Self::new(StatusCode::CONFLICT, "archived", detail)
            }
            CrmError::Locked(lock) => locked(&lock),
            CrmError::FenceLost(lock) => fence_lost(lock.as_deref()),
            CrmError::Busy => Self::unavailable(
                "busy",
                "Somebody else is changing this record or its lock. Nothing was changed. Try \
                 again.",
            ),
            CrmError::Database(error) => Self::database(&error),
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
        Some(Fault::Unknown) => Problem::bad_request("unknown_field", detail),
        Some(Fault::ReadOnly) => Problem::bad_request("read_only_field", detail),
        Some(Fault::Invalid) | None => Problem::bad_request("invalid_field", detail),
    };
    let first = shown.first().map_or("body", |first| first.field);
    problem.at(first).showing("errors", &shown)
}

fn shown(error: &FieldError) -> ErrorJson<'_> {
    let code = match error.fault {
        Fault::Unknown => "unknown_field",
        Fault::ReadOnly => "read_only_field",
        Fault::Invalid => "invalid_field",
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
    Problem::new(StatusCode::CONFLICT, "stale", detail)
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
    Problem::new(StatusCode::LOCKED, "locked", detail).showing("lock", lock)
}

fn fence_lost(lock: Option<&Lock>) -> Problem {
    let detail = "The lock is not held with this Lock-Fence any more. Nothing was changed. Lock \
                  the record again, and look at it before you write.";
    let problem = Problem::new(StatusCode::LOCKED, "fence_lost", detail).at("Lock-Fence");
    match lock {
        Some(lock) => problem.showing("lock", lock),
        None => problem,
    }
}
