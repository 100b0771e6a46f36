//! Events that are not logged: changes of presence, and signals.
//!
//! Each brokerage has a short ring of them. A stream reads it from its own position, as it reads the
//! log, and looks only at the events of its audiences. A stream that falls behind the ring gets a fresh
//! snapshot instead.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::EncodedEvent;
use crate::log::{Audience, Event};

/// The limits of one ring.
const MOST_EVENTS: usize = 2_048;
const MOST_BYTES: usize = 1 << 20;
/// The memory that an event uses besides its bytes.
const OVERHEAD_BYTES: usize = 128;

/// An event that is not logged, ready to be written.
#[derive(Debug)]
pub struct EphemeralEvent {
    parts: Vec<EphemeralPart>,
    /// Only for streams with a filter of records.
    for_records_only: bool,
}

/// What one audience gets. Without an event, it gets a fresh snapshot.
#[derive(Debug)]
struct EphemeralPart {
    audience: Audience,
    encoded: Option<Arc<EncodedEvent>>,
}

impl EphemeralEvent {
    /// The same event for all of these audiences.
    #[must_use]
    pub fn of(event: &Event, audiences: &[Audience]) -> Self {
        let encoded = Arc::new(EncodedEvent::of(event, None));
        Self::new(audiences.iter().map(|audience| EphemeralPart {
            audience: audience.clone(),
            encoded: Some(Arc::clone(&encoded)),
        }))
    }

    /// An event of its own for each audience. A stream with several audiences gets the first.
    #[must_use]
    pub fn each(events: impl IntoIterator<Item = Event>) -> Self {
        Self::new(events.into_iter().map(|event| EphemeralPart {
            encoded: Some(Arc::new(EncodedEvent::of(&event, None))),
            audience: event.body.audience,
        }))
    }

    /// Streams of these audiences write a fresh snapshot.
    #[must_use]
    pub fn new_snapshot(audiences: impl IntoIterator<Item = Audience>) -> Self {
        Self::new(audiences.into_iter().map(|audience| EphemeralPart {
            audience,
            encoded: None,
        }))
    }

    fn new(parts: impl Iterator<Item = EphemeralPart>) -> Self {
        Self {
            parts: parts.collect(),
            for_records_only: false,
        }
    }

    /// Only streams with a filter of records get the event, and it wakes no stream. This is for
    /// events that are too many for all other streams.
    #[must_use]
    pub fn for_records_only(self) -> Self {
        Self {
            for_records_only: true,
            ..self
        }
    }

    /// Whether it wakes streams.
    #[must_use]
    pub fn wakes(&self) -> bool {
        !self.for_records_only
    }

    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.parts.iter().map(|part| &part.audience)
    }

    fn part_for(&self, reader: EphemeralReader<'_>) -> Option<&EphemeralPart> {
        if self.for_records_only && !reader.has_records {
            return None;
        }
        let mut parts = self.parts.iter();
        parts.find(|part| reader.audiences.contains(&part.audience))
    }

    fn size(&self) -> usize {
        let encoded = self.parts.iter().filter_map(|part| part.encoded.as_ref());
        encoded.map(|encoded| encoded.size()).sum::<usize>() + OVERHEAD_BYTES
    }
}

#[derive(Clone, Copy, Debug)]
pub struct EphemeralReader<'a> {
    pub audiences: &'a [Audience],
    /// Whether its stream has a filter of records.
    pub has_records: bool,
}

/// The outcome of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EphemeralRead {
    /// All events before this position were passed on.
    UpTo(u64),
    /// The stream has missed events, or an event asks for it: it must write a fresh snapshot.
    SnapshotNeeded,
}

/// The last ephemeral events of one brokerage.
#[derive(Debug, Default)]
pub struct EphemeralRing {
    /// The position of the next event. Positions count from 0.
    next: u64,
    events: VecDeque<EphemeralEvent>,
    /// The positions of the events for each audience.
    positions: FxHashMap<Audience, VecDeque<u64>>,
    bytes: usize,
}

impl EphemeralRing {
    /// The position of the next event.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds an event and drops the oldest of too many.
    pub fn push(&mut self, event: EphemeralEvent) {
        for audience in event.audiences() {
            let positions = self.positions.entry(audience.clone()).or_default();
            positions.push_back(self.next);
        }
        self.next += 1;
        self.bytes += event.size();
        self.events.push_back(event);
        while self.events.len() > MOST_EVENTS || self.bytes > MOST_BYTES {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(oldest) = self.events.pop_front() else {
            return;
        };
        self.bytes -= oldest.size();
        for audience in oldest.audiences() {
            if let Some(positions) = self.positions.get_mut(audience) {
                positions.pop_front();
                if positions.is_empty() {
                    self.positions.remove(audience);
                }
            }
        }
    }

    /// The first position from `from` on with an event for any of `audiences`.
    fn next_for(&self, audiences: &[Audience], from: u64) -> Option<u64> {
        let first = |audience| {
            let positions = self.positions.get(audience)?;
            positions.back().filter(|last| **last >= from)?;
            let at = positions.partition_point(|position| *position < from);
            positions.get(at).copied()
        };
        audiences.iter().filter_map(first).min()
    }

    /// Passes the events for `reader` from the position `from` on to `sink`, until it returns
    /// `false` for one that it does not take.
    pub fn read(
        &self,
        reader: EphemeralReader<'_>,
        from: u64,
        mut sink: impl FnMut(&EncodedEvent) -> bool,
    ) -> EphemeralRead {
        let oldest = self.next - self.events.len() as u64;
        if from < oldest {
            return EphemeralRead::SnapshotNeeded;
        }
        let mut next = from;
        while let Some(position) = self.next_for(reader.audiences, next) {
            next = position + 1;
            let at = usize::try_from(position - oldest).unwrap_or(usize::MAX);
            let event = self.events.get(at);
            let Some(part) = event.and_then(|event| event.part_for(reader)) else {
                continue;
            };
            let Some(encoded) = &part.encoded else {
                return EphemeralRead::SnapshotNeeded;
            };
            if !sink(encoded) {
                return EphemeralRead::UpTo(position);
            }
        }
        EphemeralRead::UpTo(self.next)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::log::NewEvent;

    fn ephemeral(name: &str, audience: Audience) -> EphemeralEvent {
        let body = NewEvent::new(Audience::Broker, name.parse().unwrap());
        let event = Event {
            position: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            body,
        };
        EphemeralEvent::of(&event, &[audience])
    }

    fn reader(audiences: &[Audience]) -> EphemeralReader<'_> {
        let has_records = false;
        EphemeralReader {
            audiences,
            has_records,
        }
    }

    fn read(ring: &EphemeralRing, from: u64) -> (Vec<String>, EphemeralRead) {
        let mut names = Vec::new();
        let end = ring.read(reader(&[Audience::Broker]), from, |encoded| {
            names.push(encoded.event_type().to_owned());
            true
        });
        (names, end)
    }

    #[test]
    fn a_stream_reads_the_events_of_its_audiences_from_its_position_on() {
        let mut ring = EphemeralRing::default();
        ring.push(ephemeral("a", Audience::Broker));
        ring.push(ephemeral("b", Audience::User("u".parse().unwrap())));
        ring.push(ephemeral("c", Audience::Broker));
        assert_eq!(
            read(&ring, 0),
            (vec!["a".into(), "c".into()], EphemeralRead::UpTo(3))
        );
        assert_eq!(read(&ring, 1), (vec!["c".into()], EphemeralRead::UpTo(3)));
        assert_eq!(read(&ring, 3), (vec![], EphemeralRead::UpTo(3)));
        let full = ring.read(reader(&[Audience::Broker]), 0, |e| e.event_type() == "a");
        assert_eq!(full, EphemeralRead::UpTo(2));
    }

    #[test]
    fn a_stream_with_several_audiences_gets_the_first_event() {
        let user = Audience::User("u".parse().unwrap());
        let event = |name: &str, audience: &Audience| Event {
            position: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            body: NewEvent::new(audience.clone(), name.parse().unwrap()),
        };
        let mut ring = EphemeralRing::default();
        ring.push(EphemeralEvent::each([
            event("all", &Audience::Broker),
            event("one", &user),
        ]));
        let mut names = Vec::new();
        for audiences in [vec![user.clone(), Audience::Broker], vec![user]] {
            ring.read(reader(&audiences), 0, |e| {
                names.push(e.event_type().to_owned());
                true
            });
        }
        assert_eq!(names, ["all", "one"]);
    }

    #[test]
    fn a_stream_that_missed_events_or_is_asked_to_needs_a_snapshot() {
        let mut ring = EphemeralRing::default();
        for _ in 0..=MOST_EVENTS {
            ring.push(ephemeral("a", Audience::Broker));
        }
        assert_eq!(read(&ring, 0).1, EphemeralRead::SnapshotNeeded);
        assert_eq!(read(&ring, 1).1, EphemeralRead::UpTo(ring.next()));
        let position = ring.next();
        ring.push(EphemeralEvent::new_snapshot([Audience::Broker]));
        assert_eq!(read(&ring, position).1, EphemeralRead::SnapshotNeeded);
        assert_eq!(read(&ring, ring.next()).1, EphemeralRead::UpTo(ring.next()));
    }
}
