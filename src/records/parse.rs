//! Parses the fields of a record. Each value is checked by the type of its field, and all wrong fields
//! are reported together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::fields::{Field, FieldWriter, RecordKind};
use super::value;

/// The most fields of one request.
const MOST_FIELDS: usize = 200;

/// A value from outside.
#[derive(Clone, Copy, Debug)]
pub enum InputValue<'a> {
    /// From a line of a file. An empty text is no value.
    Text(&'a str),
    /// From a body.
    Json(&'a RawValue),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new record needs all required fields.
    Create,
    Update,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    Unknown,
    /// Clients cannot write it.
    ReadOnly,
    /// The field does not allow the value.
    Invalid,
}

/// A refused field. The reason is a text that follows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub field: String,
    pub fault: FieldFault,
    pub reason: String,
}

/// The values of columns, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFields(BTreeMap<String, String>);

impl RecordFields {
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(column, json)| (&**column, &**json))
    }

    pub(super) fn set(&mut self, column: &str, json: String) {
        self.0.insert(column.to_owned(), json);
    }

    pub(super) fn json(&self) -> String {
        let fields = self.iter().map(|(column, json)| {
            let column = serde_json::Value::from(column);
            format!("{column}:{json}")
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

/// The valid values, and the errors of others.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub fields: RecordFields,
    pub errors: Vec<FieldError>,
    /// The private fields in the request, with valid values or not.
    pub private: BTreeSet<String>,
}

impl Parsed {
    /// The values, if there is no error.
    pub fn checked(self) -> Result<RecordFields, Vec<FieldError>> {
        if self.errors.is_empty() {
            Ok(self.fields)
        } else {
            Err(self.errors)
        }
    }

    /// Whether there is an error that every caller may know.
    pub(super) fn has_public_error(&self) -> bool {
        let is_private = |error: &FieldError| self.private.contains(&error.field);
        !self.errors.iter().all(is_private)
    }

    fn add(&mut self, kind: &RecordKind, name: &str, value: InputValue<'_>, purpose: Purpose) {
        let mut refuse = |fault, reason: String| {
            self.errors.push(FieldError {
                field: name.to_owned(),
                fault,
                reason,
            });
        };
        let Some(field) = kind.field(name) else {
            let known = kind.names(|field| may_write(field, purpose));
            let reason = format!("is not a field of {}; there are {known}", kind.module);
            return refuse(FieldFault::Unknown, reason);
        };
        if !may_write(field, purpose) {
            return refuse(FieldFault::ReadOnly, "cannot be written".to_owned());
        }
        match value::parse(field, value) {
            Err(reason) => refuse(FieldFault::Invalid, reason),
            Ok(json) => self.fields.set(&field.column, json),
        }
        if field.is_private {
            self.private.insert(name.to_owned());
        }
    }
}

fn may_write(field: &Field, purpose: Purpose) -> bool {
    match field.writer {
        FieldWriter::Anybody => true,
        FieldWriter::Creator => purpose == Purpose::Create,
        FieldWriter::Database => false,
    }
}

impl RecordKind {
    /// Parses fields by their names in JSON.
    #[must_use]
    pub fn parse<'a>(
        &self,
        inputs: impl IntoIterator<Item = (&'a str, InputValue<'a>)>,
        purpose: Purpose,
    ) -> Parsed {
        let mut parsed = Parsed::default();
        for (name, value) in inputs.into_iter().take(MOST_FIELDS) {
            parsed.add(self, name, value, purpose);
        }
        if purpose == Purpose::Create {
            let is_missing = |field: &&Field| {
                let is_refused = parsed.errors.iter().any(|error| error.field == field.name);
                field.is_required && parsed.fields.get(&field.column).is_none() && !is_refused
            };
            let missing = self
                .fields
                .iter()
                .filter(is_missing)
                .map(|field| FieldError {
                    field: field.name.clone(),
                    fault: FieldFault::Invalid,
                    reason: "is required".to_owned(),
                });
            let missing: Vec<_> = missing.collect();
            parsed.errors.extend(missing);
        }
        parsed
    }
}
