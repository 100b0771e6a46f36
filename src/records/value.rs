//! Converts a text or JSON to the JSON that the table accepts.

use serde_json::Value;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use super::fields::{Field, FieldType};
use super::parse::InputValue;
use crate::log::REDACTED;
use crate::platform::ids::{is_name, is_user_name};
use crate::platform::{NAME_FORM, USER_FORM};

/// The most characters of a number.
const NUMBER_CHARS: usize = 40;
const NULL: &str = "null";

/// The value as JSON, or what the field expects.
pub(super) fn parse(field: &Field, input: InputValue<'_>) -> Result<String, String> {
    let is_nothing = match input {
        InputValue::Text(text) => text.is_empty(),
        InputValue::Json(raw) => raw.get() == NULL,
    };
    if is_nothing && field.is_kept {
        return Err("must have a value".to_owned());
    }
    if is_nothing {
        return Ok(NULL.to_owned());
    }
    // A client that saves a record as it was shown must not overwrite what was masked.
    if field.is_private && string(input).is_some_and(|text| text == REDACTED) {
        return Err(format!(
            "cannot be {REDACTED}, which stands for a value that is not shown"
        ));
    }
    let parsed = match field.of_type {
        FieldType::Text => text(field, input),
        FieldType::Texts => texts(field, input),
        FieldType::Number => number(field, input),
        FieldType::Integer => integer(field, input),
        FieldType::Boolean => boolean(input),
        FieldType::Date => string(input).and_then(|text| date(&text)),
        FieldType::Timestamp => string(input).and_then(|text| timestamp(&text)),
    };
    parsed.ok_or_else(|| expected(field))
}

/// A text that says what a field expects.
fn expected(field: &Field) -> String {
    if let Some(allowed) = &field.allowed {
        return format!("must be one of {}", allowed.join(", "));
    }
    let bounds = match (field.least, field.most) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        _ => String::new(),
    };
    match (field.of_type, field.most) {
        (FieldType::Text, _) if has_user_ids(field) => USER_FORM.to_owned(),
        (FieldType::Text, _) if has_ids(field) => NAME_FORM.to_owned(),
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

fn has_ids(field: &Field) -> bool {
    matches!(&*field.column, "id" | "team_id")
}

fn has_user_ids(field: &Field) -> bool {
    &*field.column == "owner_id"
}

/// The text, or the string in the JSON.
fn string(input: InputValue<'_>) -> Option<String> {
    match input {
        InputValue::Text(text) => Some(text.to_owned()),
        InputValue::Json(raw) => serde_json::from_str(raw.get()).ok(),
    }
}

fn text(field: &Field, input: InputValue<'_>) -> Option<String> {
    let text = string(input)?;
    let chars = i64::try_from(text.chars().count()).ok()?;
    let is_allowed = field.allowed.as_ref().is_none_or(|all| all.contains(&text));
    let is_fit = if has_user_ids(field) {
        is_user_name(&text)
    } else {
        !has_ids(field) || is_name(&text)
    };
    let fits = is_between(field, chars) && is_fit;
    // Postgres cannot store NUL in a text.
    (is_allowed && fits && !text.contains('\0')).then(|| Value::from(text).to_string())
}

fn texts(field: &Field, input: InputValue<'_>) -> Option<String> {
    let texts: Vec<String> = match input {
        InputValue::Text(text) => text.split(',').map(|t| t.trim().to_owned()).collect(),
        InputValue::Json(raw) => serde_json::from_str(raw.get()).ok()?,
    };
    let fits = is_between(field, i64::try_from(texts.len()).ok()?);
    let is_plain = texts.iter().all(|text| !text.contains('\0'));
    (fits && is_plain).then(|| Value::from(texts).to_string())
}

fn is_between(field: &Field, n: i64) -> bool {
    field.least.is_none_or(|least| n >= least) && field.most.is_none_or(|most| n <= most)
}

/// The text of a JSON number.
fn digits(input: InputValue<'_>) -> Option<String> {
    let text = match input {
        InputValue::Text(text) => text.trim(),
        InputValue::Json(raw) => raw.get(),
    };
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.len() <= NUMBER_CHARS
        && serde_json::from_str::<&RawValue>(text).is_ok();
    is_number.then(|| text.to_owned())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the table checks the bounds exactly"
)]
fn number(field: &Field, input: InputValue<'_>) -> Option<String> {
    let digits = digits(input)?;
    let value: f64 = digits.parse().ok()?;
    let is_large = field.least.is_none_or(|least| value >= least as f64);
    let is_small = field.most.is_none_or(|most| value <= most as f64);
    let fits = is_large && is_small && value.is_finite();
    (fits && decimals(&digits)? <= field.scale?).then_some(digits)
}

/// The number of decimals without an exponent.
fn decimals(number: &str) -> Option<i32> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let after = mantissa.split_once('.').map_or(0, |(_, after)| after.len());
    i32::try_from(after).ok()?.checked_sub(exponent)
}

fn integer(field: &Field, input: InputValue<'_>) -> Option<String> {
    let value: i64 = digits(input)?.parse().ok()?;
    is_between(field, value).then(|| value.to_string())
}

fn boolean(input: InputValue<'_>) -> Option<String> {
    let text = match input {
        InputValue::Text(text) => text.trim(),
        InputValue::Json(raw) => raw.get(),
    };
    matches!(text, "true" | "false").then(|| text.to_owned())
}

fn date(text: &str) -> Option<String> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    ((1..=9_999).contains(&day.year()) && text.len() == 10).then(|| format!("\"{text}\""))
}

/// In UTC, with microseconds, like the table.
fn timestamp(text: &str) -> Option<String> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let at = at.checked_to_offset(UtcOffset::UTC)?;
    let at = at
        .replace_nanosecond(at.nanosecond() / 1_000 * 1_000)
        .ok()?;
    let is_in_range = (1..=9_999).contains(&at.year());
    is_in_range.then(|| at.format(&Rfc3339).ok().map(|text| format!("\"{text}\"")))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::FieldWriter;

    fn field(of_type: FieldType) -> Field {
        Field {
            name: "it".to_owned(),
            column: "it".to_owned(),
            of_type,
            writer: FieldWriter::Anybody,
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
    fn a_text_and_json_have_the_same_value() {
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
                parse(&field, InputValue::Text(text)).as_deref(),
                Ok(value),
                "{text}"
            );
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(
                parse(&field, InputValue::Json(&raw)).as_deref(),
                Ok(value),
                "{json}"
            );
        }
    }

    #[test]
    fn values_of_a_wrong_type_are_refused() {
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
            assert!(
                parse(&field(of_type), InputValue::Text(text)).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_mask_of_a_private_value_is_refused() {
        let notes = Field {
            is_private: true,
            ..field(FieldType::Text)
        };
        assert!(parse(&notes, InputValue::Text("[REDACTED]")).is_err());
        assert!(parse(&notes, InputValue::Text("[REDACTED], mostly")).is_ok());
        assert!(parse(&field(FieldType::Text), InputValue::Text("[REDACTED]")).is_ok());
    }

    #[test]
    fn a_field_that_must_have_a_value_is_not_cleared() {
        let kept = Field {
            is_kept: true,
            ..field(FieldType::Text)
        };
        assert!(parse(&kept, InputValue::Text("")).is_err());
        assert!(parse(&field(FieldType::Text), InputValue::Text("")).is_ok());
    }
}
