//! Records as paths and bodies name them.

use actix_web::http::StatusCode;

use super::Service;
use super::problem::Problem;
use crate::ids::{ModuleName, RecordId, RecordPath};
use crate::modules::Module;
use crate::records::RecordError;

/// The record of a path's `{module}/{id}`.
pub fn record_path((module, id): (String, String)) -> Result<RecordPath, Problem> {
    Ok(RecordPath {
        module: module
            .parse()
            .map_err(|e| Problem::bad_parameter("module", e))?,
        id: id.parse().map_err(|e| Problem::bad_parameter("id", e))?,
    })
}

impl Service {
    /// The module of this name, which a body or a path has in `field`.
    pub fn module(&self, name: &ModuleName, field: &str) -> Result<&Module, Problem> {
        self.app.modules.get(name).ok_or_else(|| {
            let detail = format!(
                "There is no module {name}; there are {}.",
                self.app.modules.names()
            );
            Problem::bad_request("unknown_module", detail).at(field)
        })
    }
}

/// A record as bodies name it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecordBody {
    /// Its module.
    pub module: ModuleName,
    /// Its name there.
    pub record_id: RecordId,
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
                Self::new(StatusCode::NOT_FOUND, "unknown_record", detail).at("recordId")
            }
            RecordError::Database(error) => Self::database(&error),
            RecordError::Unavailable => Self::unavailable(
                "database_unavailable",
                "The database did not answer. Try again.",
            ),
        }
    }
}
