use std::sync::Arc;

use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::*;
use crate::log::{NewEvent, Private};

fn raw(json: &str) -> Arc<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap().into()
}

fn event_with_private_fields() -> Event {
    let record = "escrows/e-1".parse().unwrap();
    let mut body =
        NewEvent::new(Audience::Broker, "escrow:updated".parse().unwrap()).about(&record);
    body.data = Some(raw(r#"{"a":1.50,"fee":"[REDACTED]","text":"ü \" \\"}"#));
    body.changes = Some(raw(r#"{"fee":"[REDACTED]"}"#));
    body.private = Some(Private(raw(r#"{"fee":{"x":[1.0]}}"#)));
    body.owner = Some("ann".parse().unwrap());
    Event {
        position: 7,
        created_at: OffsetDateTime::UNIX_EPOCH,
        body,
    }
}

const PLAIN: StreamEncoding = StreamEncoding {
    chunked: false,
    gzip: false,
    named: true,
};

#[test]
fn the_bytes_with_private_fields_are_those_of_the_unmasked_event() {
    let event = event_with_private_fields();
    let epoch = Epoch::stored("e");
    let of = |event| Frame::of(event, &epoch).encoded;
    let (masked, unmasked) = (of(&event), of(&event.unmasked()));
    for named in [true, false] {
        let encoding = StreamEncoding { named, ..PLAIN };
        let expected = unmasked.bytes(encoding, Visibility::Masked);
        assert_eq!(masked.bytes(encoding, Visibility::Unmasked), expected);
        let text = masked.bytes(encoding, Visibility::Masked);
        assert!(!String::from_utf8_lossy(&text).contains("[1.0]"));
    }
    assert_eq!(masked.event_type(), "escrow:updated");
    assert_eq!(
        masked.json(Visibility::Unmasked),
        unmasked.json(Visibility::Masked)
    );
    assert_eq!(masked.private_to().unwrap().as_str(), "ann");
}

#[test]
fn encodings_that_are_made_later_are_counted_until_the_frame_is_dropped() {
    let late = LateBytes::default();
    let frame = Frame::of(&event_with_private_fields(), &Epoch::stored("e")).counted_by(&late);
    let size = frame.size();
    drop(frame.encoded.bytes(PLAIN, Visibility::Masked));
    assert_eq!(late.get(), 0);
    let mut counted = 0;
    for (gzip, named) in [(false, false), (true, true), (true, false)] {
        for visibility in [Visibility::Masked, Visibility::Unmasked] {
            let encoding = StreamEncoding {
                chunked: true,
                gzip,
                named,
            };
            drop(frame.encoded.bytes(encoding, visibility));
            assert!(late.get() > counted, "{encoding:?} {visibility:?}");
            counted = late.get();
            drop(frame.encoded.bytes(encoding, visibility));
            assert_eq!(late.get(), counted, "once");
        }
    }
    assert_eq!(frame.size(), size);
    drop(frame);
    assert_eq!(late.get(), 0);
}
