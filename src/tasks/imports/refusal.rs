//! What an import cannot be asked for, however often it is tried.

use super::stop::{Stop, refused};
use crate::records::RecordsError;
use crate::tasks::uploads::UploadError;
use crate::tasks::{TaskError, WrongParams};

/// Characters of a field, and of a sentence, that people are shown.
const FIELD_CHARS: usize = 200;
const SENTENCE_CHARS: usize = 1_000;

/// What was asked for cannot be done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    /// The parameter at fault; empty where it is all of them.
    pub(super) field: String,
    pub(super) sentence: String,
}

impl Refusal {
    pub(super) fn at(field: &str, code: &'static str, sentence: String) -> Self {
        Self {
            code,
            field: field.to_owned(),
            sentence,
        }
    }
}

/// Why it is not known whether an import can be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is known: it cannot.
    Refused(Refusal),
    /// The fields of records are not to be had.
    Records(RecordsError),
    /// The uploads are not to be had.
    Uploads(UploadError),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RecordsError> for Trouble {
    fn from(error: RecordsError) -> Self {
        Self::Records(error)
    }
}

impl From<UploadError> for Trouble {
    fn from(error: UploadError) -> Self {
        Self::Uploads(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        refused(refusal.code, refusal.sentence)
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(refusal) => refusal.into(),
            Trouble::Records(error) => error.into(),
            Trouble::Uploads(error) => error.into(),
        }
    }
}

/// When it is asked for.
impl From<Trouble> for TaskError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(refusal) => Self::WrongParams(Box::new(refusal.into())),
            Trouble::Records(RecordsError::Database(error))
            | Trouble::Uploads(UploadError::Database(error)) => error.into(),
            Trouble::Records(_) | Trouble::Uploads(_) => Self::Busy,
        }
    }
}

impl From<Refusal> for WrongParams {
    fn from(refusal: Refusal) -> Self {
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
