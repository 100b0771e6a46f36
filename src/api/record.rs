//! Modules and records in bodies.

use actix_web::http::StatusCode;

use super::Context;
use super::problem::{Code, Problem};
use crate::directory::Module;
use crate::directory::RecordError;
use crate::platform::{ModuleName, RecordId, RecordPath};

impl Context {
    /// The module `name`; a problem names `field`, which has the name.
    pub(super) fn module(&self, name: &ModuleName, field: &str) -> Result<&Module, Problem> {
        self.services.directory.modules.get(name).ok_or_else(|| {
            let detail = format!(
                "There is no module {name}; there are {}.",
                self.services.directory.modules.names()
            );
            Problem::bad_request(Code::UnknownModule, detail).at(field)
        })
    }
}

/// A record in a body.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RecordBody {
    pub(super) module: ModuleName,
    pub(super) record_id: RecordId,
}

impl From<RecordBody> for RecordPath {
    fn from(body: RecordBody) -> Self {
        Self {
            module: body.module,
            id: body.record_id,
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Unknown(record) => {
                let detail = format!("There is no record {record} that you may see.");
                Self::new(StatusCode::NOT_FOUND, Code::UnknownRecord, detail).at("recordId")
            }
            RecordError::Database(error) => Self::database(&error),
            RecordError::Unavailable => Self::unavailable(
                Code::DatabaseUnavailable,
                "The database did not answer. Try again.",
            ),
        }
    }
}
