//! Bodies of `POST /events`.

use time::OffsetDateTime;

use super::{EventRules, MOST_EVENTS, events};
use crate::identity::{Caller, Role};
use crate::log::{DEEPEST, depth};
use crate::platform::entry_point::EntryPoint;

const EVENT_BYTES: usize = 4_096;

pub(in crate::api) const PUBLICATION: EntryPoint = EntryPoint {
    name: "publication",
    read,
};

/// What is accepted is within the limits, and fits one line of a stream.
fn read(bytes: &[u8]) {
    let caller = Caller {
        user: "svc".parse().expect("an id"),
        broker: "b".parse().expect("an id"),
        teams: [].into(),
        role: Role::Service,
        expires_at: OffsetDateTime::UNIX_EPOCH,
        credential: std::sync::Arc::default(),
    };
    let rules = EventRules {
        caller: &caller,
        event_bytes: EVENT_BYTES,
        signals: &"typing".parse().expect("a name"),
    };
    let Ok(events) = events(bytes, &rules) else {
        return;
    };
    assert!((1..=MOST_EVENTS).contains(&events.len()));
    for event in events {
        assert_eq!(event.event_type.reserved_for(), None);
        for raw in [&event.data, &event.changes].into_iter().flatten() {
            assert!(raw.get().len() <= EVENT_BYTES && depth(raw) <= DEEPEST);
            assert!(!raw.get().contains(['\r', '\n']));
        }
    }
}
