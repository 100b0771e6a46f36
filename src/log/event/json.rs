//! The JSON of an event, for `data:` lines and for `GET /events`.

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::{Cursor, Event};
use crate::platform::{ModuleName, RecordId, UserId};

/// One event on the wire. The fields are written in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventJson<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    /// The data was too large and is left out. A client that needs it fetches the record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    timestamp: String,
}

impl<'a> EventJson<'a> {
    /// Without the position, which a frame has in its `id:` line.
    #[must_use]
    pub fn of(event: &'a Event) -> Self {
        let body = &event.body;
        Self {
            event_type: body.event_type.as_str(),
            module: body.module().map(ModuleName::as_str),
            action: body.event_type.action(),
            record_id: body.record_id().map(RecordId::as_str),
            data: body.data.as_deref(),
            changes: body.changes.as_deref(),
            version: body.version,
            user_id: body.user.as_ref().map(UserId::as_str),
            truncated: body.is_truncated,
            timestamp: timestamp(event.created_at),
        }
    }
}

/// An event's JSON with its position as the first field, for lists.
#[must_use]
pub fn listed(json: &str, position: &Cursor) -> String {
    let fields = json.strip_prefix('{').unwrap_or(json);
    format!("{{\"position\":\"{position}\",{fields}")
}

const MILLISECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// UTC with milliseconds. Every event and every person in a snapshot has one, so it is written digit by
/// digit: a tenth of the work of the formatter.
#[must_use]
pub fn timestamp(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let Ok(year @ 0..10_000) = u32::try_from(at.year()) else {
        return at.format(MILLISECONDS).unwrap_or_default();
    };
    let mut text = String::with_capacity(24);
    digits(&mut text, year, 1_000);
    for (mark, number) in [
        ('-', u8::from(at.month())),
        ('-', at.day()),
        ('T', at.hour()),
        (':', at.minute()),
        (':', at.second()),
    ] {
        text.push(mark);
        digits(&mut text, number.into(), 10);
    }
    text.push('.');
    digits(&mut text, at.millisecond().into(), 100);
    text.push('Z');
    text
}

/// Writes a number whose first digit counts `unit`.
fn digits(text: &mut String, number: u32, unit: u32) {
    let mut unit = unit;
    while unit > 0 {
        text.extend(char::from_digit(number / unit % 10, 10));
        unit /= 10;
    }
}

/// The same JSON without white space between its tokens, so that it has no line break. JSON without any is
/// not copied, and not parsed again.
#[must_use]
pub fn on_one_line(raw: Box<RawValue>) -> Box<RawValue> {
    if !raw.get().bytes().any(|byte| byte.is_ascii_whitespace()) {
        return raw;
    }
    let (mut in_string, mut escaped) = (false, false);
    let mut compact = Vec::with_capacity(raw.get().len());
    for byte in raw.get().bytes() {
        if in_string || !byte.is_ascii_whitespace() {
            compact.push(byte);
        }
        match byte {
            b'\\' if in_string => escaped = !escaped,
            b'"' if !escaped => in_string = !in_string,
            _ => escaped = false,
        }
    }
    if compact.len() == raw.get().len() {
        return raw;
    }
    let compact = String::from_utf8(compact).ok();
    let compact = compact.and_then(|json| RawValue::from_string(json).ok());
    compact.unwrap_or(raw)
}

/// The limit of nesting. An event has space for more, but clients and Postgres fail on it.
pub const DEEPEST: usize = 100;

/// How deeply arrays and objects are nested.
#[must_use]
pub fn depth(raw: &RawValue) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in raw.get().bytes() {
        match (byte, escaped) {
            (b'\\', false) if in_string => {
                escaped = true;
                continue;
            }
            (b'"', false) => in_string = !in_string,
            (b'[' | b'{', _) if !in_string => depth += 1,
            (b']' | b'}', _) if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = false;
        deepest = deepest.max(depth);
    }
    deepest
}

/// The field that a JSON error is about: the path where the parser was, and one more name if the
/// parser's message has one.
#[must_use]
pub fn field_at_fault(path: &str, message: &str) -> Option<String> {
    match (named_field(message), path) {
        (Some(name), "." | "?") => Some(name),
        (Some(name), path) if path.ends_with(&name) => Some(path.to_owned()),
        (Some(name), path) => Some(format!("{path}.{name}")),
        (None, "." | "?") => None,
        (None, path) => Some(path.to_owned()),
    }
}

/// The name in "unknown field `name`, expected …" and its like.
#[must_use]
pub fn named_field(message: &str) -> Option<String> {
    let name = ["unknown", "missing", "duplicate"]
        .iter()
        .find_map(|how| message.strip_prefix(how)?.strip_prefix(" field `"))?;
    Some(name.split_once('`')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_timestamp_is_what_the_formatter_writes(ns in -70_000_000_000_000_000_000_i128..250_000_000_000_000_000_000) {
            let at = OffsetDateTime::from_unix_timestamp_nanos(ns).unwrap();
            let moved = at.to_offset(time::UtcOffset::from_hms(2, 30, 0).unwrap());
            prop_assert_eq!(timestamp(moved), at.format(MILLISECONDS).unwrap());
        }
    }

    #[test]
    fn brackets_in_strings_are_not_deep() {
        for (json, deep) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}],"b":[]}"#, 3),
            (r#"["[[\"[[", {"\\":"}"}]"#, 2),
        ] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(depth(&raw), deep, "{json}");
        }
    }

    #[test]
    fn white_space_goes_and_strings_stay() {
        let raw = "{ \"a b\" : [ 1.50 ,\r\n \"\\\" \\\\\" , \"\\n\u{2028} x\" ] }";
        let raw = RawValue::from_string(raw.to_owned()).unwrap();
        assert_eq!(
            on_one_line(raw).get(),
            "{\"a b\":[1.50,\"\\\" \\\\\",\"\\n\u{2028} x\"]}"
        );
        for unchanged in ["{\"a\":[1,\"b\"]}", "{\"a b\":\"\\\" c\"}"] {
            let raw = RawValue::from_string(unchanged.to_owned()).unwrap();
            assert_eq!(on_one_line(raw).get(), unchanged);
        }
    }

    #[test]
    fn a_timestamp_has_milliseconds_and_is_utc() {
        let at = time::macros::datetime!(2025-11-02 14:00:00.1239 +2);
        assert_eq!(timestamp(at), "2025-11-02T12:00:00.123Z");
    }
}
