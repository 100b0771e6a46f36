//! Refusals of imports whose parameters are wrong.

use super::stop::{Stop, refused};
use crate::records::RecordsError;
use crate::tasks::uploads::UploadError;
use crate::tasks::{TaskError, WrongParams};

/// The most characters of a field and of a sentence in an answer.
const FIELD_CHARS: usize = 200;
const SENTENCE_CHARS: usize = 1_000;

/// Why an import cannot succeed with these parameters.
#[derive(Debug)]
pub(super) struct ParamsRefusal {
    pub(super) code: &'static str,
    /// The wrong parameter. Empty if it is all of them.
    pub(super) field: String,
    pub(super) sentence: String,
}

impl ParamsRefusal {
    pub(super) fn at(field: &str, code: &'static str, sentence: String) -> Self {
        Self {
            code,
            field: field.to_owned(),
            sentence,
        }
    }
}

/// Why a check failed.
#[derive(Debug)]
pub(super) enum CheckError {
    /// The parameters are wrong.
    Refused(ParamsRefusal),
    /// The fields of records could not be read.
    Records(RecordsError),
    /// The uploads could not be read.
    Uploads(UploadError),
}

impl From<ParamsRefusal> for CheckError {
    fn from(refusal: ParamsRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RecordsError> for CheckError {
    fn from(error: RecordsError) -> Self {
        Self::Records(error)
    }
}

impl From<UploadError> for CheckError {
    fn from(error: UploadError) -> Self {
        Self::Uploads(error)
    }
}

impl From<ParamsRefusal> for Stop {
    fn from(refusal: ParamsRefusal) -> Self {
        refused(refusal.code, refusal.sentence)
    }
}

impl From<CheckError> for Stop {
    fn from(trouble: CheckError) -> Self {
        match trouble {
            CheckError::Refused(refusal) => refusal.into(),
            CheckError::Records(error) => error.into(),
            CheckError::Uploads(error) => error.into(),
        }
    }
}

impl From<CheckError> for TaskError {
    fn from(trouble: CheckError) -> Self {
        match trouble {
            CheckError::Refused(refusal) => Self::WrongParams(Box::new(refusal.into())),
            CheckError::Records(RecordsError::Database(error))
            | CheckError::Uploads(UploadError::Database(error)) => error.into(),
            CheckError::Records(_) | CheckError::Uploads(_) => Self::Busy,
        }
    }
}

impl From<ParamsRefusal> for WrongParams {
    fn from(refusal: ParamsRefusal) -> Self {
        let field = match &*refusal.field {
            "" => "params".to_owned(),
            field => format!("params.{field}"),
        };
        Self {
            reason: refusal.code.to_owned(),
            field: field.chars().take(FIELD_CHARS).collect(),
            detail: refusal.sentence.chars().take(SENTENCE_CHARS).collect(),
        }
    }
}
