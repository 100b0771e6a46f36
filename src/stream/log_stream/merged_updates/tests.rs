use std::cell::Cell;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::*;
use crate::log::{Audience, Event, NewEvent};
use crate::stream::log_stream::frames_to_merge::FramesToMerge;

thread_local! {
    /// The bytes of JSON that were parsed on this thread.
    pub(super) static PARSED_BYTES: Cell<usize> = const { Cell::new(0) };
}

const ENCODING: StreamEncoding = StreamEncoding {
    chunked: false,
    gzip: false,
    named: true,
};
const LIMIT: usize = 32 * 1_024;

fn frame(position: i64, event_type: &str, id: &str, changes: &Value) -> Arc<Frame> {
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
    Arc::new(Frame::of(&event, &Epoch::stored("e")))
}

/// The type, record, changes, version and position of each event that is written.
fn written(frames: &[Arc<Frame>]) -> Vec<(String, String, Value, i64, String)> {
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
    let merged = |older: &str, newer: &str| {
        let mut body = MergedBody::parse(older).unwrap();
        body.merge(MergedBody::parse(newer).unwrap());
        serde_json::to_string(&body).unwrap()
    };
    assert_eq!(
        merged(
            r#"{"changes":{"a":12345678901234567890.10,"b":2},"data":[1],"gone":1}"#,
            r#"{"changes":{"b":1},"data":{"c":1.50},"version":2}"#
        ),
        r#"{"changes":{"a":12345678901234567890.10,"b":1},"data":{"c":1.50},"version":2}"#
    );
    assert_eq!(
        merged(r#"{"data":{"c":1}}"#, r#"{"data":[1]}"#),
        r#"{"data":[1]}"#,
        "the last value that is not an object"
    );
    let only_older = merged(r#"{"changes":{"a":1}}"#, r#"{"data":{"c":1}}"#);
    assert_eq!(only_older, r#"{"changes":{"a":1},"data":{"c":1}}"#);
}

/// An object of so many fields.
fn wide(fields: usize) -> Value {
    let field = |n| (format!("field{n:04}"), json!(n));
    (0..fields).map(field).collect::<Map<_, _>>().into()
}

#[test]
fn each_event_is_parsed_once_however_many_are_merged() {
    let mut frames = vec![frame(1, UPDATED, "a", &wide(1_500))];
    frames.extend((2..700).map(|n| frame(n, UPDATED, "a", &json!({"field0000": n}))));
    let json = |frame: &Arc<Frame>| frame.encoded.json(Visibility::Masked).len();
    let given: usize = frames.iter().map(json).sum();
    let before = PARSED_BYTES.get();
    let events = written(&frames);
    let parsed = PARSED_BYTES.get() - before;
    // An event, and the objects in it.
    assert!(parsed <= 2 * given, "{parsed} bytes of {given}");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].2["field0000"], 699);
    assert_eq!(events[0].2["field1499"], 1499);
}

#[test]
fn an_update_that_fills_a_write_stays_as_it_is() {
    let mut frames = vec![frame(1, UPDATED, "a", &json!({"n": 1}))];
    frames.push(frame(2, UPDATED, "a", &wide(4_000)));
    frames.extend((3..9).map(|n| frame(n, UPDATED, "a", &json!({"n": n}))));
    let before = PARSED_BYTES.get();
    let mut write = MergedUpdates::new(ENCODING, Epoch::stored("e"));
    for frame in &frames {
        assert!(write.add(frame, Visibility::Masked, 1 << 20));
    }
    let parsed = PARSED_BYTES.get() - before;
    assert!(parsed < 8 << 10, "{parsed} bytes");
    let bytes = write.into_bytes().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let ids: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("id: "))
        .collect();
    assert_eq!(ids, ["id: 1-e", "id: 2-e", "id: 8-e"]);
}

#[test]
fn what_is_read_for_one_write_has_a_limit() {
    let mut frames = FramesToMerge::of(ENCODING, LIMIT);
    let long = json!({"text": "x".repeat(20_000)});
    let taken = (1..100).take_while(|n| {
        let frame = frame(*n, UPDATED, "a", &long);
        frames.take(None, &frame, Visibility::Masked)
    });
    assert_eq!(taken.count(), MOST_TAKEN_BYTES / 20_100);
    assert!(frames.is_full);
}

/// How many of these frames are taken for one write, and how many of them it has room for.
fn taken_and_added(frames: &[Arc<Frame>]) -> (usize, usize) {
    let mut to_merge = FramesToMerge::of(ENCODING, LIMIT);
    let is_taken = |frame: &&Arc<Frame>| to_merge.take(None, frame, Visibility::Masked);
    let taken = frames.iter().take_while(is_taken).count();
    let mut write = MergedUpdates::new(ENCODING, Epoch::stored("e"));
    let is_added = |frame: &&Arc<Frame>| write.add(frame, Visibility::Masked, LIMIT);
    let added = frames.iter().take_while(is_added).count();
    (taken, added)
}

#[test]
fn what_is_not_merged_is_read_for_one_write_only() {
    const ARCHIVED: &str = "escrow:archived";
    let text = json!({"text": "x".repeat(1_000)});
    let many = |kind: &dyn Fn(i64) -> (&'static str, String)| {
        let frames = (1..400).map(|n| {
            let (event_type, id) = kind(n);
            frame(n, event_type, &id, &text)
        });
        frames.collect::<Vec<_>>()
    };
    let one = || "a".to_owned();
    let in_turn = |other| move |n| (if n % 2 == 0 { UPDATED } else { other }, one());
    for (name, frames) in [
        ("no updates", many(&|_| (ARCHIVED, one()))),
        ("other records", many(&|n| (UPDATED, n.to_string()))),
        (
            "a record again, after another event",
            many(&in_turn(ARCHIVED)),
        ),
        ("types in turn", many(&in_turn("note:updated"))),
    ] {
        let (taken, added) = taken_and_added(&frames);
        // The text of an event is longer than its JSON.
        assert!(
            (added..added * 3 / 2).contains(&taken),
            "{name}: {taken}, {added}"
        );
    }
    // A few records whose updates merge.
    let (taken, added) = taken_and_added(&many(&|n| (UPDATED, (n % 9).to_string())));
    assert_eq!(taken, added);
    assert!(taken > MOST_TAKEN_BYTES / 1_400, "{taken}");
}

#[test]
fn a_large_update_among_small_ones_is_read_for_one_write_only() {
    let wide = wide(4_000);
    let frames: Vec<_> = (1..10).map(|n| frame(n, UPDATED, "a", &wide)).collect();
    assert_eq!(taken_and_added(&frames), (1, 1));
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
