//! Where a page of records ended, as clients carry it on: opaque to them, checked when it
//! comes back.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::fields::{Field, FieldType, Kind};
use super::parse::Given;
use super::value;
use crate::platform::RecordId;

/// Characters of a marker: a text of 5000 characters, and room.
const MOST_CHARS: usize = 64_000;

/// The last record of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    /// Of which list: its module, and how it was sorted.
    of: String,
    /// The value that it was sorted by.
    pub(super) value: Option<String>,
    pub(super) id: RecordId,
}

impl Marker {
    /// The marker of a record in a list that is sorted so.
    pub(super) fn new(list: (&Kind, &str), id: RecordId, value: Option<String>) -> Self {
        let of = of(list);
        Self { of, value, id }
    }

    pub(super) fn text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        json.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Reads what a client carried, which must be of this very list.
    pub(super) fn read(text: &str, list: (&Kind, &str), sort: &Field) -> Option<Self> {
        if text.len() > MOST_CHARS || !text.is_ascii() {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let json: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        let marker: Self = serde_json::from_slice(&json?).ok()?;
        let is_of = marker.of == of(list);
        (is_of && marker.is_value_of(sort)).then_some(marker)
    }

    fn is_value_of(&self, field: &Field) -> bool {
        match (&self.value, field.of_type) {
            (None, _) => true,
            (Some(text), FieldType::Text) => !text.contains('\0'),
            (Some(text), _) => !text.is_empty() && value::parse(field, Given::Text(text)).is_ok(),
        }
    }
}

fn of((kind, sort): (&Kind, &str)) -> String {
    format!("{} {sort}", kind.module)
}
