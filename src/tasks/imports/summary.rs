//! The faults of rows, and the result of an import.

use std::fmt::Write;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Faults in a result. The output has all of them.
pub(super) const MOST_ERRORS: usize = 200;
/// Ignored columns in a result.
const MOST_IGNORED: usize = 100;

/// What is wrong with a row. It never contains a value of the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RowFault {
    pub(super) line: i32,
    /// The header in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    pub(super) reason: String,
}

impl RowFault {
    pub(super) fn of_row(line: i32, reason: &str) -> Self {
        Self {
            line,
            column: None,
            field: None,
            reason: reason.to_owned(),
        }
    }
}

/// One line for each fault.
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

/// The result of an import.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportSummary {
    pub(super) rows: i32,
    pub(super) created: i32,
    pub(super) bad: i32,
    pub(super) errors: Vec<RowFault>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ignored_columns: Vec<String>,
}

impl ImportSummary {
    /// The JSON in at most so many bytes. Errors are left out if they need more.
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

/// The end of a message about rows: the number of bad ones.
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
        let found = ImportSummary {
            errors: vec![fault; MOST_ERRORS],
            ..ImportSummary::default()
        };
        let json = found.json(4_096).unwrap();
        assert!((1_000..=4_096).contains(&json.get().len()));
    }
}
