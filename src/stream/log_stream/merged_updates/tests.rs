use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::log::{Audience, Event, NewEvent};

const ENCODING: StreamEncoding = StreamEncoding {
    chunked: false,
    gzip: false,
    named: true,
};
const LIMIT: usize = 32 * 1_024;

fn frame(position: i64, event_type: &str, id: &str, changes: &Value) -> Frame {
    let record: RecordPath = format!("escrows/{id}").parse().unwrap();
    let mut body = NewEvent::new(Audience::Broker, event_type.parse().unwrap()).about(&record);
    body.changes = (!changes.is_null()).then(|| to_raw_value(changes).unwrap().into());
    body.version = Some(position);
    body.is_truncated = changes.is_null();
    let event = Event {
        position,
        created_at: OffsetDateTime::UNIX_EPOCH,
        body,
    };
    Frame::of(&event, &Epoch::stored("e"))
}

/// The type, record, changes, version and position of each event that is written.
fn written(frames: &[Frame]) -> Vec<(String, String, Value, i64, String)> {
    let mut write = MergedUpdates::new(ENCODING, Epoch::stored("e"));
    for frame in frames {
        assert!(write.add(frame, Visibility::Masked, LIMIT));
    }
    let count = write.events();
    let bytes = write.into_bytes().unwrap_or_default();
    let text = std::str::from_utf8(&bytes).unwrap();
    let events: Vec<_> = text.split_terminator("\n\n").map(read).collect();
    assert_eq!(events.len() as u64, count);
    events
}

fn read(block: &str) -> (String, String, Value, i64, String) {
    let mut lines = block.lines();
    let mut line = |name| {
        lines
            .next()
            .and_then(|line| line.strip_prefix(name))
            .unwrap()
    };
    let (name, data, id) = (line("event: "), line("data: "), line("id: "));
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["type"], name);
    (
        name.to_owned(),
        data["recordId"].as_str().unwrap().to_owned(),
        data["changes"].clone(),
        data["version"].as_i64().unwrap(),
        id.to_owned(),
    )
}

fn event(
    name: &str,
    id: &str,
    changes: Value,
    version: i64,
    at: &str,
) -> (String, String, Value, i64, String) {
    (
        name.to_owned(),
        id.to_owned(),
        changes,
        version,
        at.to_owned(),
    )
}

const UPDATED: &str = "escrow:updated";

#[test]
fn the_last_value_of_each_field_wins() {
    let frames = [
        frame(3, UPDATED, "a", &json!({"price": 1, "city": "x"})),
        frame(4, UPDATED, "a", &json!({"price": 2, "beds": null})),
        frame(9, UPDATED, "a", &json!({"beds": 3})),
    ];
    let expected = event(
        UPDATED,
        "a",
        json!({"price": 2, "city": "x", "beds": 3}),
        9,
        "9-e",
    );
    assert_eq!(written(&frames), [expected]);
    assert!(written(&[]).is_empty());
}

#[test]
fn numbers_stay_as_they_are_written() {
    let changes = |text: &str| serde_json::from_str::<Box<RawValue>>(text).unwrap();
    let mut newer = fields(r#"{"changes":{"b":1}}"#).unwrap();
    merge_part(
        &mut newer,
        "changes",
        &changes(r#"{"a":12345678901234567890.10,"b":2}"#),
    );
    let merged = newer["changes"].get();
    assert_eq!(merged, r#"{"a":12345678901234567890.10,"b":1}"#);
    merge_part(&mut newer, "data", &changes("[1]"));
    merge_part(&mut newer, "data", &changes(r#"{"c":1}"#));
    assert_eq!(
        newer["data"].get(),
        "[1]",
        "the last value that is not an object"
    );
}

#[test]
fn a_client_that_has_an_id_has_everything_up_to_it() {
    let frames = [
        frame(1, UPDATED, "a", &json!({"n": 1})),
        frame(2, UPDATED, "b", &json!({"n": 1})),
        frame(3, UPDATED, "c", &json!({"n": 1})),
        frame(4, UPDATED, "a", &json!({"n": 2})),
        frame(5, UPDATED, "b", &json!({"n": 2})),
    ];
    let expected = [
        event(UPDATED, "a", json!({"n": 2}), 4, "1-e"),
        event(UPDATED, "b", json!({"n": 2}), 5, "2-e"),
        event(UPDATED, "c", json!({"n": 1}), 3, "5-e"),
    ];
    assert_eq!(written(&frames), expected);
}

#[test]
fn other_events_keep_their_place_among_the_updates() {
    let frames = [
        frame(1, UPDATED, "a", &json!({"n": 1})),
        frame(2, UPDATED, "a", &json!({"n": 2})),
        frame(3, "escrow:archived", "a", &json!({})),
        frame(4, UPDATED, "a", &json!({"n": 3})),
        frame(5, UPDATED, "a", &json!({"n": 4})),
    ];
    let expected = [
        event(UPDATED, "a", json!({"n": 2}), 2, "2-e"),
        event("escrow:archived", "a", json!({}), 3, "3-e"),
        event(UPDATED, "a", json!({"n": 4}), 5, "5-e"),
    ];
    assert_eq!(written(&frames), expected);
}

#[test]
fn an_update_without_its_data_is_an_event_of_its_own() {
    let frames = [
        frame(1, UPDATED, "a", &json!({"n": 1})),
        frame(2, UPDATED, "a", &json!({"n": 2})),
        frame(3, UPDATED, "a", &Value::Null),
        frame(4, UPDATED, "a", &json!({"n": 4})),
    ];
    let versions: Vec<_> = written(&frames).into_iter().map(|event| event.3).collect();
    assert_eq!(versions, [2, 3, 4]);
}

#[test]
fn a_write_ends_where_its_limit_is() {
    let long = json!({"text": "x".repeat(20_000)});
    let mut write = MergedUpdates::new(ENCODING, Epoch::stored("e"));
    let mut add = |position, id| {
        let frame = frame(position, UPDATED, id, &long);
        write.add(&frame, Visibility::Masked, LIMIT)
    };
    assert!(add(1, "a"));
    assert!(!add(2, "b"), "two do not fit");
    let merged = (2..100).take_while(|position| add(*position, "a")).count();
    assert_eq!(
        merged,
        MOST_TAKEN_BYTES / 20_100 - 1,
        "but many that are merged do"
    );
}

/// The line `event:` and the data would name different types.
#[test]
fn updates_of_different_types_stay_apart() {
    let frames = [
        frame(1, UPDATED, "1", &json!({"a": 1})),
        frame(2, "note:updated", "1", &json!({"b": 2})),
        frame(3, UPDATED, "1", &json!({"c": 3})),
    ];
    let expected = [
        event(UPDATED, "1", json!({"a": 1}), 1, "1-e"),
        event("note:updated", "1", json!({"b": 2}), 2, "2-e"),
        event(UPDATED, "1", json!({"c": 3}), 3, "3-e"),
    ];
    assert_eq!(written(&frames), expected);
}
