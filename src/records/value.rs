//! One value: from a text or from JSON to the JSON that the table takes.

use serde_json::Value;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use super::fields::{Field, FieldType};
use super::parse::Given;
use crate::platform::ids::{is_name, is_user_name};
use crate::platform::{NAME_FORM, USER_FORM};

/// Characters of a number: no more are looked at.
const NUMBER_CHARS: usize = 40;
/// What stands for no value.
const NULL: &str = "null";
/// What stands for a value that its reader may not see.
const REDACTED: &str = "[REDACTED]";

/// The value as JSON, or what would be one.
pub(super) fn parse(field: &Field, given: Given<'_>) -> Result<String, String> {
    let is_nothing = match given {
        Given::Text(text) => text.is_empty(),
        Given::Json(raw) => raw.get() == NULL,
    };
    if is_nothing && field.is_kept {
        return Err("must have a value".to_owned());
    }
    if is_nothing {
        return Ok(NULL.to_owned());
    }
    // Whoever saves a whole record as it was shown does not mean to lose what was not.
    if field.is_private && string(given).is_some_and(|text| text == REDACTED) {
        return Err(format!(
            "cannot be {REDACTED}, which stands for a value that is not shown"
        ));
    }
    let parsed = match field.of_type {
        FieldType::Text => text(field, given),
        FieldType::Texts => texts(field, given),
        FieldType::Number => number(field, given),
        FieldType::Integer => integer(field, given),
        FieldType::Boolean => boolean(given),
        FieldType::Date => string(given).and_then(|text| date(&text)),
        FieldType::Timestamp => string(given).and_then(|text| timestamp(&text)),
    };
    parsed.ok_or_else(|| expected(field))
}

/// What a field takes, in words.
fn expected(field: &Field) -> String {
    if let Some(allowed) = &field.allowed {
        return format!("must be one of {}", allowed.join(", "));
    }
    let bounds = match (field.least, field.most) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        _ => String::new(),
    };
    match (field.of_type, field.most) {
        (FieldType::Text, _) if is_of_user(field) => USER_FORM.to_owned(),
        (FieldType::Text, _) if is_of_name(field) => NAME_FORM.to_owned(),
        (FieldType::Text, Some(most)) => {
            let least = field.least.unwrap_or(0);
            format!("must be a text of {least} to {most} characters")
        }
        (FieldType::Text, None) => "must be a text".to_owned(),
        (FieldType::Texts, most) => {
            let most = most.map_or(String::new(), |most| format!(" of {most} at the most"));
            format!("must be a list of texts{most}")
        }
        (FieldType::Number, _) => {
            let scale = field.scale.unwrap_or(0);
            format!("must be a number{bounds}, with {scale} decimals at the most")
        }
        (FieldType::Integer, _) => format!("must be a whole number{bounds}"),
        (FieldType::Boolean, _) => "must be true or false".to_owned(),
        (FieldType::Date, _) => "must be a day like 2025-11-02".to_owned(),
        (FieldType::Timestamp, _) => "must be a time like 2025-11-02T12:00:00Z".to_owned(),
    }
}

/// Whether its values are names of ours.
fn is_of_name(field: &Field) -> bool {
    matches!(&*field.column, "id" | "team_id")
}

/// Whether its values are names of users.
fn is_of_user(field: &Field) -> bool {
    &*field.column == "owner_id"
}

/// The text of a text, or of JSON that is one.
fn string(given: Given<'_>) -> Option<String> {
    match given {
        Given::Text(text) => Some(text.to_owned()),
        Given::Json(raw) => serde_json::from_str(raw.get()).ok(),
    }
}

fn text(field: &Field, given: Given<'_>) -> Option<String> {
    let text = string(given)?;
    let chars = i64::try_from(text.chars().count()).ok()?;
    let is_allowed = field.allowed.as_ref().is_none_or(|all| all.contains(&text));
    let is_fit = if is_of_user(field) {
        is_user_name(&text)
    } else {
        !is_of_name(field) || is_name(&text)
    };
    let fits = is_between(field, chars) && is_fit;
    // Postgres has no NUL in a text.
    (is_allowed && fits && !text.contains('\0')).then(|| Value::from(text).to_string())
}

fn texts(field: &Field, given: Given<'_>) -> Option<String> {
    let texts: Vec<String> = match given {
        Given::Text(text) => text.split(',').map(|t| t.trim().to_owned()).collect(),
        Given::Json(raw) => serde_json::from_str(raw.get()).ok()?,
    };
    let fits = is_between(field, i64::try_from(texts.len()).ok()?);
    let is_plain = texts.iter().all(|text| !text.contains('\0'));
    (fits && is_plain).then(|| Value::from(texts).to_string())
}

fn is_between(field: &Field, n: i64) -> bool {
    field.least.is_none_or(|least| n >= least) && field.most.is_none_or(|most| n <= most)
}

/// The letters of a number as JSON writes one.
fn digits(given: Given<'_>) -> Option<String> {
    let text = match given {
        Given::Text(text) => text.trim(),
        Given::Json(raw) => raw.get(),
    };
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.len() <= NUMBER_CHARS
        && serde_json::from_str::<&RawValue>(text).is_ok();
    is_number.then(|| text.to_owned())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the table has the last word on the bounds"
)]
fn number(field: &Field, given: Given<'_>) -> Option<String> {
    let digits = digits(given)?;
    let value: f64 = digits.parse().ok()?;
    let is_large = field.least.is_none_or(|least| value >= least as f64);
    let is_small = field.most.is_none_or(|most| value <= most as f64);
    let fits = is_large && is_small && value.is_finite();
    (fits && decimals(&digits)? <= field.scale?).then_some(digits)
}

/// Digits after the point, once there is no exponent.
fn decimals(number: &str) -> Option<i32> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let after = mantissa.split_once('.').map_or(0, |(_, after)| after.len());
    i32::try_from(after).ok()?.checked_sub(exponent)
}

fn integer(field: &Field, given: Given<'_>) -> Option<String> {
    let value: i64 = digits(given)?.parse().ok()?;
    is_between(field, value).then(|| value.to_string())
}

fn boolean(given: Given<'_>) -> Option<String> {
    let word = match given {
        Given::Text(text) => text.trim(),
        Given::Json(raw) => raw.get(),
    };
    matches!(word, "true" | "false").then(|| word.to_owned())
}

fn date(text: &str) -> Option<String> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    ((1..=9_999).contains(&day.year()) && text.len() == 10).then(|| format!("\"{text}\""))
}

/// In UTC and microseconds, as the table keeps it and tells it.
fn timestamp(text: &str) -> Option<String> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let at = at.checked_to_offset(UtcOffset::UTC)?;
    let at = at
        .replace_nanosecond(at.nanosecond() / 1_000 * 1_000)
        .ok()?;
    let is_ours = (1..=9_999).contains(&at.year());
    is_ours.then(|| at.format(&Rfc3339).ok().map(|text| format!("\"{text}\"")))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Writer;

    fn field(of_type: FieldType) -> Field {
        Field {
            name: "it".to_owned(),
            column: "it".to_owned(),
            of_type,
            writer: Writer::Anybody,
            is_required: false,
            is_kept: false,
            is_private: false,
            allowed: None,
            least: Some(0),
            most: Some(50),
            scale: Some(2),
        }
    }

    #[test]
    fn a_line_of_a_file_and_a_body_come_to_the_same() {
        for (of_type, text, json, value) in [
            (FieldType::Text, "a\"b", r#""a\"b""#, r#""a\"b""#),
            (FieldType::Text, "", "null", "null"),
            (FieldType::Texts, "a, b", r#"["a","b"]"#, r#"["a","b"]"#),
            (FieldType::Number, " 7.50 ", "7.50", "7.50"),
            (FieldType::Number, "1e1", "1e1", "1e1"),
            (FieldType::Number, "0.5e1", "0.5e1", "0.5e1"),
            (FieldType::Integer, "7", "7", "7"),
            (FieldType::Boolean, "true", "true", "true"),
            (
                FieldType::Date,
                "2024-02-29",
                r#""2024-02-29""#,
                r#""2024-02-29""#,
            ),
            (
                FieldType::Timestamp,
                "2025-11-02T13:00:00.1234567+01:00",
                r#""2025-11-02T12:00:00.123456Z""#,
                r#""2025-11-02T12:00:00.123456Z""#,
            ),
        ] {
            let field = field(of_type);
            assert_eq!(
                parse(&field, Given::Text(text)).as_deref(),
                Ok(value),
                "{text}"
            );
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(
                parse(&field, Given::Json(&raw)).as_deref(),
                Ok(value),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_not_of_the_type_is_refused_and_nothing_else_is_written() {
        for (of_type, text) in [
            (FieldType::Text, "a\0b"),
            (FieldType::Number, "$7"),
            (FieldType::Number, "7,000"),
            (FieldType::Number, "+7"),
            (FieldType::Number, "7]"),
            (FieldType::Number, "NaN"),
            (FieldType::Number, "-"),
            (FieldType::Number, "0.001"),
            (FieldType::Number, "1e-3"),
            (FieldType::Number, "51"),
            (FieldType::Number, "1e-2147483648"),
            (FieldType::Integer, "1.0"),
            (FieldType::Integer, "-1"),
            (FieldType::Integer, "99999999999999999999"),
            (FieldType::Boolean, "yes"),
            (FieldType::Date, "2025-02-29"),
            (FieldType::Date, "2025-2-9"),
            (FieldType::Date, "+002025-02-09"),
            (FieldType::Timestamp, "2025-11-02"),
            (FieldType::Timestamp, "2025-11-02T24:00:00Z"),
        ] {
            assert!(parse(&field(of_type), Given::Text(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_for_a_private_value_is_none() {
        let notes = Field {
            is_private: true,
            ..field(FieldType::Text)
        };
        assert!(parse(&notes, Given::Text("[REDACTED]")).is_err());
        assert!(parse(&notes, Given::Text("[REDACTED], mostly")).is_ok());
        assert!(parse(&field(FieldType::Text), Given::Text("[REDACTED]")).is_ok());
    }

    #[test]
    fn what_must_have_a_value_is_not_cleared() {
        let kept = Field {
            is_kept: true,
            ..field(FieldType::Text)
        };
        assert!(parse(&kept, Given::Text("")).is_err());
        assert!(parse(&field(FieldType::Text), Given::Text("")).is_ok());
    }
}
