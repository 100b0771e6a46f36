use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;
use crate::log::{Event, NewEvent};
use crate::platform::{EventType, TeamId};

fn team(n: u8) -> Audience {
    Audience::Team(TeamId::parse(&format!("t{n}")).unwrap())
}

fn frame(position: i64, audience: Audience) -> Arc<Frame> {
    let event_type = EventType::parse("a:b").unwrap();
    let body = NewEvent::new(audience, event_type);
    let event = Event {
        position,
        created_at: OffsetDateTime::UNIX_EPOCH,
        body,
    };
    Arc::new(Frame::of(&event, &Epoch::stored("e")))
}

fn read(ring: &Ring, topics: &[Audience], cursor: i64) -> Option<(Vec<i64>, i64)> {
    let mut seen = Vec::new();
    let mut sink = |frame: &Arc<Frame>| {
        seen.push(frame.position);
        true
    };
    match ring.read(ring.epoch(), topics, cursor, &mut sink) {
        RingRead::UpTo(upto) => Some((seen, upto)),
        _ => None,
    }
}

#[test]
fn a_topic_with_a_reader_and_no_events_is_served_from_memory_at_any_cursor() {
    let mut ring = Ring::new(Epoch::stored("e"), 0);
    ring.subscribe(&[team(1)]);
    for position in 1..=1_000 {
        ring.push(frame(position, team(2)));
        ring.shrink_to(1_000);
    }
    assert_eq!(read(&ring, &[team(1)], 0), Some((vec![], 1_000)));
    assert_eq!(read(&ring, &[team(2)], 0), None);
}

proptest! {
    #[test]
    fn a_read_is_complete_or_gone(
        pushes in prop::collection::vec((0u8..4, 0usize..3_000), 1..120),
        topics in prop::collection::btree_set(0u8..4, 1..4),
        cursor in 0i64..120,
        subscribed in any::<bool>(),
    ) {
        let topics: Vec<_> = topics.into_iter().map(team).collect();
        let mut ring = Ring::new(Epoch::stored("e"), 0);
        if subscribed {
            ring.subscribe(&topics);
        }
        let mut log = Vec::new();
        for (position, (topic, keep)) in (1..).zip(&pushes) {
            ring.push(frame(position, team(*topic)));
            ring.shrink_to(*keep);
            log.push((position, team(*topic)));
        }
        let head = i64::try_from(log.len()).unwrap();
        let cursor = cursor.min(head);
        let expected: Vec<_> = log
            .iter()
            .filter(|(position, topic)| *position > cursor && topics.contains(topic))
            .map(|(position, _)| *position)
            .collect();
        if let Some((seen, upto)) = read(&ring, &topics, cursor) {
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(upto, head);
        } else {
            prop_assert!(cursor < head);
        }
        prop_assert_eq!(read(&ring, &topics, head), Some((vec![], head)));
    }
}
