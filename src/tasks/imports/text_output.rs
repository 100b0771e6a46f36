//! What an import says: of rows, and in the end.

use std::fmt::Write;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Faults that a result names; the output has all of them.
pub(super) const MOST_ERRORS: usize = 200;
/// Ignored columns that a result names.
const MOST_IGNORED: usize = 100;

/// What is wrong with a row. It never repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RowFault {
    pub(super) line: i32,
    /// As the file calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    pub(super) reason: String,
}

impl RowFault {
    /// Of the row as a whole.
    pub(super) fn of_row(line: i32, reason: &str) -> Self {
        Self {
            line,
            column: None,
            field: None,
            reason: reason.to_owned(),
        }
    }
}

/// Each fault on a line.
pub(super) fn lines(faults: &[RowFault]) -> String {
    faults.iter().fold(String::new(), |mut text, fault| {
        // Writing to a string does not fail.
        let _ = write!(text, "line {}", fault.line);
        if let Some(column) = fault.column.as_ref().or(fault.field.as_ref()) {
            let _ = write!(text, ", column \"{column}\"");
        }
        let _ = writeln!(text, ": {}", fault.reason);
        text
    })
}

/// What has come of an import.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    pub(super) rows: i32,
    pub(super) created: i32,
    pub(super) bad: i32,
    pub(super) errors: Vec<RowFault>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ignored_columns: Vec<String>,
}

impl Found {
    /// As an event can carry it: with fewer errors, where they are long.
    pub(super) fn json(&self, most_bytes: usize) -> Option<Box<RawValue>> {
        let mut found = self.clone();
        found.ignored_columns.truncate(MOST_IGNORED);
        loop {
            let json = to_raw_value(&found).ok()?;
            if json.get().len() <= most_bytes {
                return Some(json);
            }
            if found.errors.is_empty() && found.ignored_columns.is_empty() {
                return None;
            }
            found.errors.truncate(found.errors.len() / 2);
            found
                .ignored_columns
                .truncate(found.ignored_columns.len() / 2);
        }
    }
}

/// `1,234,567`.
pub(super) fn grouped(n: i32) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many rows were bad, where any were.
pub(super) fn and_bad(bad: i32) -> String {
    match bad {
        0 => String::new(),
        1 => ", 1 row could not be read".to_owned(),
        n => format!(", {} rows could not be read", grouped(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let texts: Vec<_> = [0, 12, 999, 1_000, 100_000]
            .into_iter()
            .map(grouped)
            .collect();
        assert_eq!(texts, ["0", "12", "999", "1,000", "100,000"]);
    }

    #[test]
    fn a_result_fits_an_event() {
        let fault = RowFault::of_row(7, &"long ".repeat(50));
        let found = Found {
            errors: vec![fault; MOST_ERRORS],
            ..Found::default()
        };
        let json = found.json(4_096).unwrap();
        assert!((1_000..=4_096).contains(&json.get().len()));
    }
}
