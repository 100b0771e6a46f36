//! The JSON of an event, as `data:` carries it and as `GET /events` lists it.

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::{Cursor, Event};

/// One event on the wire; the order of the fields is the order of the text.
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
    /// It was too large to be told with its data: whoever needs it fetches the record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    timestamp: String,
}

impl<'a> EventJson<'a> {
    /// The event's data as a frame carries it: the position stands in the frame's `id`.
    #[must_use]
    pub fn of(event: &'a Event) -> Self {
        let told = &event.told;
        Self {
            event_type: told.event_type.as_str(),
            module: told.module().map(crate::platform::ModuleName::as_str),
            action: told.event_type.action(),
            record_id: told.record_id().map(crate::platform::RecordId::as_str),
            data: told.data.as_deref(),
            changes: told.changes.as_deref(),
            version: told.version,
            user_id: told.user.as_ref().map(crate::platform::UserId::as_str),
            truncated: told.is_truncated,
            timestamp: timestamp(event.created_at),
        }
    }
}

/// An event's JSON with its position in front, as lists have it.
#[must_use]
pub fn listed(json: &str, position: &Cursor) -> String {
    let fields = json.strip_prefix('{').unwrap_or(json);
    format!("{{\"position\":\"{position}\",{fields}")
}

const MILLISECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment as JSON carries it: UTC with milliseconds.
#[must_use]
pub fn timestamp(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(MILLISECONDS)
        .unwrap_or_default()
}

/// The same JSON without white space between its parts, so that it fits one line.
#[must_use]
pub fn on_one_line(raw: &RawValue) -> Box<RawValue> {
    let (mut in_string, mut escaped) = (false, false);
    let mut kept = Vec::with_capacity(raw.get().len());
    for byte in raw.get().bytes() {
        if in_string || !byte.is_ascii_whitespace() {
            kept.push(byte);
        }
        match byte {
            b'\\' if in_string => escaped = !escaped,
            b'"' if !escaped => in_string = !in_string,
            _ => escaped = false,
        }
    }
    let compact = String::from_utf8(kept).ok();
    compact
        .and_then(|json| RawValue::from_string(json).ok())
        .unwrap_or_else(|| raw.to_owned())
}

/// Arrays and objects that may stand in one another. Clients give up on less than what
/// fits an event, and so does Postgres.
pub const DEEPEST: usize = 100;

/// How deeply arrays and objects stand in one another.
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

/// The field at fault where JSON was not understood: from the path that the reader was at, and what it
/// said, which may name one more.
#[must_use]
pub fn field_at_fault(path: &str, said: &str) -> Option<String> {
    match (named_field(said), path) {
        (Some(name), "." | "?") => Some(name),
        (Some(name), path) if path.ends_with(&name) => Some(path.to_owned()),
        (Some(name), path) => Some(format!("{path}.{name}")),
        (None, "." | "?") => None,
        (None, path) => Some(path.to_owned()),
    }
}

/// The name in "unknown field `name`, expected …" and its like.
#[must_use]
pub fn named_field(said: &str) -> Option<String> {
    let name = ["unknown", "missing", "duplicate"]
        .iter()
        .find_map(|how| said.strip_prefix(how)?.strip_prefix(" field `"))?;
    Some(name.split_once('`')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            on_one_line(&raw).get(),
            "{\"a b\":[1.50,\"\\\" \\\\\",\"\\n\u{2028} x\"]}"
        );
    }

    #[test]
    fn a_timestamp_has_milliseconds_and_is_utc() {
        let at = time::macros::datetime!(2025-11-02 14:00:00.1239 +2);
        assert_eq!(timestamp(at), "2025-11-02T12:00:00.123Z");
    }
}
