//! The published events, to check the received ones against.

use crate::units::index;

/// Every event sent, by topic and sequence number.
#[derive(Debug)]
pub(crate) struct Ledger(Vec<Vec<Entry>>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    sent_ns: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// There was no answer, so it may or may not arrive.
    Open,
    /// Accepted at this time: every subscriber must get it.
    Accepted(u64),
    /// Refused: no subscriber needs to get it.
    Refused,
}

impl Ledger {
    pub(crate) fn new(topics: u32) -> Self {
        Self(vec![Vec::new(); index(topics)])
    }

    /// Adds an event that is about to be sent and returns its sequence number.
    pub(crate) fn sent(&mut self, topic: u32, sent_ns: u64) -> u32 {
        let events = &mut self.0[index(topic)];
        let fate = Fate::Open;
        events.push(Entry { sent_ns, fate });
        u32::try_from(events.len() - 1).expect("a topic has fewer than 2^32 events")
    }

    pub(crate) fn accepted(&mut self, topic: u32, seq: u32, now_ns: u64) {
        self.0[index(topic)][index(seq)].fate = Fate::Accepted(now_ns);
    }

    pub(crate) fn refused(&mut self, topic: u32, seq: u32) {
        self.0[index(topic)][index(seq)].fate = Fate::Refused;
    }

    /// The number of events of `topic`.
    pub(crate) fn len(&self, topic: u32) -> u32 {
        u32::try_from(self.0[index(topic)].len()).unwrap_or(u32::MAX)
    }

    /// The number of events of `topic` in `range` that every subscriber must get.
    pub(crate) fn due(&self, topic: u32, range: std::ops::Range<u32>) -> u64 {
        let events = &self.0[index(topic)][index(range.start)..index(range.end)];
        let accepted = |e: &&Entry| matches!(e.fate, Fate::Accepted(_));
        crate::units::count(events.iter().filter(accepted).count())
    }

    /// Whether `first` was accepted before `second` was sent. Only then must the server keep
    /// the order.
    pub(crate) fn is_ordered(&self, topic: u32, first: u32, second: u32) -> bool {
        let events = &self.0[index(topic)];
        match (events.get(index(first)), events.get(index(second))) {
            (Some(first), Some(second)) => {
                matches!(first.fate, Fate::Accepted(at) if at <= second.sent_ns)
            }
            _ => false,
        }
    }
}
