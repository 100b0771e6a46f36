//! Where a page of records ended. Clients send it back for the next page. It is opaque to them and
//! checked when it comes back.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::fields::{Field, FieldType, RecordKind};
use super::list::SortOrder;
use super::parse::InputValue;
use super::value;
use crate::platform::RecordId;

/// The most characters of a cursor: enough for a text of 5000 characters.
const MOST_CHARS: usize = 64_000;

/// The last record of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordCursor {
    /// The list: its module and its order.
    of: String,
    /// The value of the field that the list is sorted by.
    pub(super) value: Option<String>,
    pub(super) id: RecordId,
}

impl RecordCursor {
    pub(super) fn new(
        kind: &RecordKind,
        order: &SortOrder<'_>,
        id: RecordId,
        value: Option<String>,
    ) -> Self {
        let of = list_name(kind, order);
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

    /// None unless the text is a cursor of this list.
    pub(super) fn read(text: &str, kind: &RecordKind, order: &SortOrder<'_>) -> Option<Self> {
        if text.len() > MOST_CHARS || !text.is_ascii() {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let json: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        let cursor: Self = serde_json::from_slice(&json?).ok()?;
        let is_of_list = cursor.of == list_name(kind, order);
        (is_of_list && cursor.is_value_of(order.field)).then_some(cursor)
    }

    fn is_value_of(&self, field: &Field) -> bool {
        match (&self.value, field.of_type) {
            (None, _) => true,
            (Some(text), FieldType::Text) => !text.contains('\0'),
            (Some(text), _) => {
                !text.is_empty() && value::parse(field, InputValue::Text(text)).is_ok()
            }
        }
    }
}

fn list_name(kind: &RecordKind, order: &SortOrder<'_>) -> String {
    format!("{} {}", kind.module, order.text)
}
