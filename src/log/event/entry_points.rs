//! Cursors, audiences and the data of events.

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{depth, on_one_line};
use super::{Audience, Cursor};
use crate::platform::entry_point::{EntryPoint, with_text};

pub const ENTRY_POINTS: [EntryPoint; 3] = [
    EntryPoint {
        name: "cursor",
        read: |bytes| with_text(bytes, cursor),
    },
    EntryPoint {
        name: "audience",
        read: |bytes| with_text(bytes, audience),
    },
    EntryPoint {
        name: "event_data",
        read: |bytes| with_text(bytes, data),
    },
];

fn cursor(text: &str) {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert!(cursor.position >= 0);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}

fn audience(text: &str) {
    if let Ok(audience) = text.parse::<Audience>() {
        assert_eq!(audience.to_string(), text);
    }
}

/// Data on one line is the same data, and is nested at least as deeply as a parser finds it: of two fields with one
/// name, a parser keeps the last.
fn data(text: &str) {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        return;
    };
    let line = on_one_line(raw.to_owned());
    assert!(!line.get().contains(['\r', '\n']), "{line}");
    assert_eq!(on_one_line(line.clone()).get(), line.get());
    let (before, after) = (value(text), value(line.get()));
    assert_eq!(before, after);
    if let Some(value) = before {
        assert!(depth(raw) >= depth_of(&value), "{text}");
    }
}

fn value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn depth_of(value: &Value) -> usize {
    let deepest = |values: &mut dyn Iterator<Item = &Value>| values.map(depth_of).max();
    match value {
        Value::Array(values) => 1 + deepest(&mut values.iter()).unwrap_or(0),
        Value::Object(fields) => 1 + deepest(&mut fields.values()).unwrap_or(0),
        _ => 0,
    }
}
