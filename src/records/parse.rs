//! Values from outside: each checked by the type of its field, so that a wrong one is refused
//! by its name, and all wrong ones together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::fields::{Field, Kind, Writer};
use super::value;

/// Fields that one record is given.
const MOST_FIELDS: usize = 200;

/// A value as somebody gives it.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// As a line of a file has it; nothing where it is empty.
    Text(&'a str),
    /// As a body has it.
    Json(&'a RawValue),
}

/// What the values are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new record, which needs all that is required.
    Create,
    /// A record that is there.
    RecordChange,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such field.
    Unknown,
    /// It is not for clients to write.
    ReadOnly,
    /// Its value cannot be.
    Invalid,
}

/// A field that was refused, and why, in words that follow its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub field: String,
    pub fault: Fault,
    pub reason: String,
}

/// Values that the table takes, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The JSON of the value for a column, if there is one.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns, each with its value.
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

/// Values, and what was wrong with others.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Those that can be written.
    pub fields: Fields,
    /// Those that cannot.
    pub errors: Vec<FieldError>,
    /// The private fields that were named, whatever their values.
    pub private: BTreeSet<String>,
}

impl Parsed {
    /// The values, if none was wrong.
    pub fn checked(self) -> Result<Fields, Vec<FieldError>> {
        if self.errors.is_empty() {
            Ok(self.fields)
        } else {
            Err(self.errors)
        }
    }

    /// Whether something is wrong that may be said to anybody.
    pub(super) fn is_plainly_wrong(&self) -> bool {
        let is_private = |error: &FieldError| self.private.contains(&error.field);
        !self.errors.iter().all(is_private)
    }

    fn take(&mut self, kind: &Kind, (name, given): (&str, Given<'_>), purpose: Purpose) {
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
            return refuse(Fault::Unknown, reason);
        };
        if !may_write(field, purpose) {
            return refuse(Fault::ReadOnly, "cannot be written".to_owned());
        }
        match value::parse(field, given) {
            Err(reason) => refuse(Fault::Invalid, reason),
            Ok(json) => self.fields.set(&field.column, json),
        }
        if field.is_private {
            self.private.insert(name.to_owned());
        }
    }
}

fn may_write(field: &Field, purpose: Purpose) -> bool {
    match field.writer {
        Writer::Anybody => true,
        Writer::Creator => purpose == Purpose::Create,
        Writer::Database => false,
    }
}

impl Kind {
    /// Parses what one record is given, by the names that clients use.
    #[must_use]
    pub fn parse<'a>(
        &self,
        given: impl IntoIterator<Item = (&'a str, Given<'a>)>,
        purpose: Purpose,
    ) -> Parsed {
        let mut parsed = Parsed::default();
        for field in given.into_iter().take(MOST_FIELDS) {
            parsed.take(self, field, purpose);
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
                    fault: Fault::Invalid,
                    reason: "is required".to_owned(),
                });
            let missing: Vec<_> = missing.collect();
            parsed.errors.extend(missing);
        }
        parsed
    }
}
