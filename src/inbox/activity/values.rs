//! Values and names of fields as text.

use serde_json::Value;
use serde_json::value::RawValue;
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::log::REDACTED;

/// A longer text is cut. A shorter text of one word has no quotes.
const MOST_CHARS: usize = 60;
const SHORT_CHARS: usize = 24;
/// A number with more digits is not a quantity.
const MOST_DIGITS: usize = 24;

const DAY_AS_WRITTEN: StaticFormatDescription = format_description!("[year]-[month]-[day]");
const DAY: StaticFormatDescription =
    format_description!("[month repr:short] [day padding:none], [year]");
const MOMENT: StaticFormatDescription =
    format_description!("[month repr:short] [day padding:none], [year] at [hour]:[minute] UTC");

/// A value as text; `None` for a value without a short text, or that the reader may not see.
pub(super) fn value_text(value: &RawValue, is_money: bool) -> Option<String> {
    // As written: a float would lose digits.
    if value
        .get()
        .starts_with(|c: char| c == '-' || c.is_ascii_digit())
    {
        return Some(number(value.get(), is_money));
    }
    match serde_json::from_str(value.get()) {
        Ok(Value::Null) => Some("nothing".to_owned()),
        Ok(Value::Bool(true)) => Some("yes".to_owned()),
        Ok(Value::Bool(false)) => Some("no".to_owned()),
        Ok(Value::String(text)) => string_text(&text, is_money),
        _ => None,
    }
}

fn string_text(text: &str, is_money: bool) -> Option<String> {
    if text == REDACTED {
        return None;
    }
    if is_money && text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Some(number(text, true));
    }
    let text = plain(text, usize::MAX);
    if let Some(date) = date(&text) {
        return Some(date);
    }
    let is_one_word = !text.contains(' ') && text.chars().count() <= SHORT_CHARS;
    Some(match &*text {
        "" => "nothing".to_owned(),
        _ if is_one_word => text,
        _ => format!("\"{}\"", plain(&text, MOST_CHARS)),
    })
}

/// "Nov 21, 2026", if the text is a day or a time.
fn date(text: &str) -> Option<String> {
    if let Ok(day) = Date::parse(text, DAY_AS_WRITTEN) {
        return day.format(DAY).ok();
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let at = at.checked_to_offset(UtcOffset::UTC)?;
    let form = if at.time() == time::Time::MIDNIGHT {
        DAY
    } else {
        MOMENT
    };
    at.format(form).ok()
}

/// A number with commas and all of its digits, "395,000.5", or an amount of money, "$395,000".
fn number(text: &str, is_money: bool) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, rest) = match digits.split_once('.') {
        Some((whole, rest)) => (whole, Some(rest)),
        None => (digits, None),
    };
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_plain(whole) || !rest.is_none_or(is_plain) || whole.len() > MOST_DIGITS {
        return plain(text, MOST_CHARS);
    }
    let cents = rest.filter(|rest| !is_money || rest.bytes().any(|b| b != b'0'));
    let mut shown = format!("{sign}{}", if is_money { "$" } else { "" });
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    match cents {
        Some(one) if is_money && one.len() == 1 => shown + "." + one + "0",
        Some(cents) => shown + "." + cents,
        None => shown,
    }
}

/// A text on one line, without control characters, cut after `most` characters.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let visible: String = visible.collect();
    let mut words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(most) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// `listPrice` and `list_price` as "list price", `agentId` as "agent".
pub(super) fn field_text(name: &str) -> String {
    let mut words = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || c == '-' || c == '.' || c.is_control() || c.is_whitespace() {
            words.push(' ');
        } else if c.is_uppercase() && was_lower {
            words.push(' ');
            words.extend(c.to_lowercase());
        } else {
            words.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    let words = plain(&words, MOST_CHARS);
    words.strip_suffix(" id").unwrap_or(&words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let long = format!("{:?}", "x".repeat(100));
        let cut = format!("\"{}…\"", "x".repeat(60));
        for (json, is_money, words) in [
            ("395000", true, Some("$395,000")),
            ("395000.00", true, Some("$395,000")),
            ("395000.5", true, Some("$395,000.50")),
            ("-1250.25", true, Some("-$1,250.25")),
            ("\"400000.00\"", true, Some("$400,000")),
            ("0", true, Some("$0")),
            ("999", false, Some("999")),
            ("1234567.050", false, Some("1,234,567.050")),
            (
                "12345678901234567890",
                false,
                Some("12,345,678,901,234,567,890"),
            ),
            ("1e400", false, Some("1e400")),
            ("1e5", true, Some("1e5")),
            ("null", true, Some("nothing")),
            ("true", false, Some("yes")),
            ("false", false, Some("no")),
            ("\"pending\"", false, Some("pending")),
            ("\"\"", false, Some("nothing")),
            ("\"under contract\"", false, Some("\"under contract\"")),
            ("\"two\\nlines\\u0000\"", false, Some("\"two lines\"")),
            (&long, false, Some(&cut)),
            ("\"2026-11-21\"", false, Some("Nov 21, 2026")),
            ("\"2026-11-01T00:00:00Z\"", false, Some("Nov 1, 2026")),
            (
                "\"2026-11-21T14:30:00+02:00\"",
                false,
                Some("Nov 21, 2026 at 12:30 UTC"),
            ),
            ("\"2026-13-21\"", false, Some("2026-13-21")),
            ("\"[REDACTED]\"", true, None),
            ("[1]", false, None),
            ("{\"a\":1}", false, None),
            ("\"\\ud800\"", false, None),
        ] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(value_text(&raw, is_money).as_deref(), words, "{json}");
        }
    }

    #[test]
    fn names_of_fields_read_as_words() {
        for (name, words) in [
            ("listPrice", "list price"),
            ("list_price", "list price"),
            ("status", "status"),
            ("agentId", "agent"),
            ("id", "id"),
            ("MLSNumber", "mlsnumber"),
            ("isHOA", "is hoa"),
            ("address2Line", "address2 line"),
            ("a.b-c", "a b c"),
            ("\u{0}", ""),
        ] {
            assert_eq!(field_text(name), words, "{name}");
        }
    }
}
