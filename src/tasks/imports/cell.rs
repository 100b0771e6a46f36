//! What a spreadsheet writes, as the field takes it. What cannot be made out is left as it is,
//! and refused by the field.

use serde_json::value::{RawValue, to_raw_value};
use time::Date;
use time::macros::format_description;

use super::columns::bare;
use crate::records::{Field, FieldType, Given};

/// A value on its way.
#[derive(Debug)]
pub(super) enum Cell {
    Text(String),
    Json(Box<RawValue>),
}

impl Cell {
    /// The value of a cell; none where there is nothing in it.
    pub(super) fn read(field: &Field, cell: &str) -> Option<Self> {
        let text = cell.trim();
        if text.is_empty() {
            return None;
        }
        let plain = match field.of_type {
            FieldType::Text => word(field, text),
            FieldType::Texts => return list(text),
            FieldType::Number | FieldType::Integer => number(text),
            FieldType::Boolean => boolean(text),
            FieldType::Date => date(text),
            FieldType::Timestamp => Some(text.replacen(' ', "T", 1)),
        };
        Some(Self::Text(plain.unwrap_or_else(|| text.to_owned())))
    }

    /// As the records take it.
    pub(super) fn given(&self) -> Given<'_> {
        match self {
            Self::Text(text) => Given::Text(text),
            Self::Json(raw) => Given::Json(raw),
        }
    }
}

/// `Coming Soon` is `coming_soon`, where that is one of few.
fn word(field: &Field, text: &str) -> Option<String> {
    let allowed = field.allowed.as_ref()?;
    let found = allowed.iter().find(|word| bare(word) == bare(text));
    found.cloned()
}

fn list(text: &str) -> Option<Cell> {
    let parts = text.split(';').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    to_raw_value(&parts).ok().map(Cell::Json)
}

/// `$1,234.50` is 1234.50, and `2.5 %` is 2.5. Commas stand where thousands end, or nowhere.
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
    let word = match &*text.to_lowercase() {
        "yes" | "true" | "1" => "true",
        "no" | "false" | "0" => "false",
        _ => return None,
    };
    Some(word.to_owned())
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
    fn days_are_read_as_americans_write_them() {
        assert_eq!(date("7/4/2025").as_deref(), Some("2025-07-04"));
        assert_eq!(date("07/04/2025").as_deref(), Some("2025-07-04"));
        for text in ["2025-07-04", "13/1/2025", "2/30/2025", "7/4/25", "7/4"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_read_in_words() {
        assert_eq!(boolean("YES").as_deref(), Some("true"));
        assert_eq!(boolean("0").as_deref(), Some("false"));
        assert_eq!(boolean("maybe"), None);
    }
}
