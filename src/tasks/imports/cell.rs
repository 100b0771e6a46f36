//! Converts what spreadsheets write to what fields accept. A value that cannot be converted stays as
//! it is, and the field refuses it.

use serde_json::value::{RawValue, to_raw_value};
use time::Date;
use time::macros::format_description;

use super::columns::bare;
use crate::records::{Field, FieldType, InputValue};

/// A converted value.
#[derive(Debug)]
pub(super) enum CsvCell {
    Text(String),
    Json(Box<RawValue>),
}

impl CsvCell {
    /// None for an empty cell.
    pub(super) fn read(field: &Field, cell: &str) -> Option<Self> {
        let text = cell.trim();
        if text.is_empty() {
            return None;
        }
        let plain = match field.of_type {
            FieldType::Text => choice(field, text),
            FieldType::Texts => return list(text),
            FieldType::Number | FieldType::Integer => number(text),
            FieldType::Boolean => boolean(text),
            FieldType::Date => date(text),
            FieldType::Timestamp => Some(text.replacen(' ', "T", 1)),
        };
        Some(Self::Text(plain.unwrap_or_else(|| text.to_owned())))
    }

    pub(super) fn input(&self) -> InputValue<'_> {
        match self {
            Self::Text(text) => InputValue::Text(text),
            Self::Json(raw) => InputValue::Json(raw),
        }
    }
}

/// `Coming Soon` is `coming_soon` if the field allows that value.
fn choice(field: &Field, text: &str) -> Option<String> {
    let allowed = field.allowed.as_ref()?;
    let found = allowed.iter().find(|value| bare(value) == bare(text));
    found.cloned()
}

fn list(text: &str) -> Option<CsvCell> {
    let parts = text.split(';').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    to_raw_value(&parts).ok().map(CsvCell::Json)
}

/// `$1,234.50` is 1234.50, and `2.5 %` is 2.5. Commas must separate thousands.
fn number(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest.trim_start()),
        None => ("", text),
    };
    let rest = rest.strip_prefix('$').unwrap_or(rest).trim_start();
    let rest = rest.strip_suffix('%').unwrap_or(rest).trim_end();
    let (whole, decimals) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let is_grouped = groups.clone().count() == 0 || (1..=3).contains(&first.len());
    let are_whole = groups.all(|group| group.len() == 3);
    (is_grouped && are_whole).then(|| format!("{sign}{}{decimals}", whole.replace(',', "")))
}

fn boolean(text: &str) -> Option<String> {
    let value = match &*text.to_lowercase() {
        "yes" | "true" | "1" => "true",
        "no" | "false" | "0" => "false",
        _ => return None,
    };
    Some(value.to_owned())
}

/// `7/4/2025` is the fourth of July.
fn date(text: &str) -> Option<String> {
    let us = format_description!("[month padding:none]/[day padding:none]/[year]");
    let day = Date::parse(text, us).ok()?;
    day.format(format_description!("[year]-[month]-[day]")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_spreadsheets_write_them() {
        for (text, expected) in [
            ("395000", "395000"),
            ("$395,000.00", "395000.00"),
            ("-$1,000", "-1000"),
            ("1,234,567", "1234567"),
            ("2.5%", "2.5"),
            ("2.5 %", "2.5"),
        ] {
            assert_eq!(number(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["1,23", "1234,567", ",123", "1,2345", "12,34,567"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_read_in_the_american_form() {
        assert_eq!(date("7/4/2025").as_deref(), Some("2025-07-04"));
        assert_eq!(date("07/04/2025").as_deref(), Some("2025-07-04"));
        for text in ["2025-07-04", "13/1/2025", "2/30/2025", "7/4/25", "7/4"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_may_be_words() {
        assert_eq!(boolean("YES").as_deref(), Some("true"));
        assert_eq!(boolean("0").as_deref(), Some("false"));
        assert_eq!(boolean("maybe"), None);
    }
}
