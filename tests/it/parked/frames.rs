//! What the frames in memory take, compared with what they count.

use std::sync::Arc;

use porchlight::fanout::{Frame, Ring, StreamEncoding, Visibility};
use porchlight::log::{Audience, Epoch, Event, NewEvent, Private};
use serde_json::json;
use serde_json::value::to_raw_value;
use stats_alloc::Region;
use time::OffsetDateTime;

use super::costs::{ALLOCATOR, run_alone};

/// A test that runs in a process of its own, where nothing else allocates.
const ALONE: &str = "parked::frames::memory_in_a_process_of_its_own";
const LIMIT: usize = 4 << 20;
const EVENTS: i64 = 12_000;

const PLAIN: StreamEncoding = StreamEncoding {
    chunked: true,
    gzip: false,
    named: true,
};
const UNNAMED: StreamEncoding = StreamEncoding {
    named: false,
    ..PLAIN
};
const COMPRESSED: StreamEncoding = StreamEncoding {
    gzip: true,
    ..PLAIN
};

/// What is published and what streams ask for.
#[derive(Clone, Copy, Debug)]
struct Load {
    data_bytes: usize,
    /// How many users the events are for. None: all are for one team.
    users: Option<i64>,
    has_private_fields: bool,
    encodings: &'static [StreamEncoding],
}

const USUAL: Load = Load {
    data_bytes: 388,
    users: None,
    has_private_fields: false,
    encodings: &[PLAIN],
};

/// An event whose ids are its own, like those of an event from the table.
fn event(position: i64, load: Load) -> Event {
    let audience = match load.users {
        None => Audience::Team("bench-team-7".parse().expect("a team")),
        Some(users) => Audience::User(
            format!("user-{}", position % users)
                .parse()
                .expect("a user"),
        ),
    };
    let record = format!("escrows/e-{position}").parse().expect("a record");
    let event_type = "escrow:updated".parse().expect("a type");
    let body = NewEvent::new(audience, event_type).about(&record);
    let text = "x".repeat(load.data_bytes);
    let mut body = body.with(&json!({"text": text, "fee": "[REDACTED]"}));
    if load.has_private_fields {
        let private = to_raw_value(&json!({"fee": 1_250.5})).expect("JSON");
        body.private = Some(Private(private.into()));
        body.owner = Some(format!("owner-{position}").parse().expect("a user"));
    }
    Event {
        position,
        created_at: OffsetDateTime::UNIX_EPOCH,
        body,
    }
}

/// A full ring whose frames were written as the load says, and the bytes that are allocated for it.
fn full(load: Load) -> (Ring, usize) {
    let region = Region::new(ALLOCATOR);
    let mut ring = Ring::new(Epoch::stored("e"), 0);
    for position in 1..=EVENTS {
        let frame = Frame::of(&event(position, load), ring.epoch());
        let frame = Arc::new(frame.counted_by(ring.late_bytes()));
        ring.push(Arc::clone(&frame));
        for encoding in load.encodings {
            for visibility in [Visibility::Masked, Visibility::Unmasked] {
                drop(frame.encoded.bytes(*encoding, visibility));
            }
        }
        drop(frame);
        ring.shrink_to(LIMIT);
    }
    let change = region.change();
    (ring, change.bytes_allocated - change.bytes_deallocated)
}

#[test]
#[ignore = "the next test runs it alone"]
fn memory_in_a_process_of_its_own() {
    // The tables of gzip stay.
    full(Load {
        encodings: &[COMPRESSED],
        ..USUAL
    });
    let encodings: [&[_]; 3] = [&[PLAIN], &[PLAIN, UNNAMED], &[PLAIN, UNNAMED, COMPRESSED]];
    let encoded = encodings.map(|encodings| Load { encodings, ..USUAL });
    let sized = [40, 4_000].map(|data_bytes| Load {
        data_bytes,
        ..USUAL
    });
    let private = encodings.map(|encodings| Load {
        has_private_fields: true,
        encodings,
        ..USUAL
    });
    let addressed = [3, 20_000].map(|users| Load {
        users: Some(users),
        ..USUAL
    });
    let loads = encoded.into_iter().chain(sized).chain(private);
    for load in loads.chain(addressed) {
        let (ring, held) = full(load);
        let counted = ring.bytes();
        assert!(
            counted > LIMIT / 10 * 9 && counted <= LIMIT,
            "the ring is full"
        );
        assert!(
            held * 10 >= counted * 8 && held * 10 <= counted * 12,
            "{held} bytes, counted as {counted}: {load:?}"
        );
    }
}

#[test]
fn the_memory_of_frames_is_within_a_fifth_of_what_they_count() {
    run_alone(ALONE);
}
