//! What was published: against it the receipts are checked.

use super::units::index;

/// Every event sent, by topic and sequence number.
#[derive(Debug)]
pub(super) struct Ledger(Vec<Vec<Entry>>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    sent_ns: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No answer, so it may or may not arrive.
    Open,
    /// Accepted at this time: everyone must get it.
    Accepted(u64),
    /// Refused: nobody need get it.
    Refused,
}

impl Ledger {
    pub(super) fn new(topics: u32) -> Self {
        Self(vec![Vec::new(); index(topics)])
    }

    /// Enters an event that is about to be sent and returns its sequence number.
    pub(super) fn sent(&mut self, topic: u32, sent_ns: u64) -> u32 {
        let events = &mut self.0[index(topic)];
        let fate = Fate::Open;
        events.push(Entry { sent_ns, fate });
        u32::try_from(events.len() - 1).expect("a topic has fewer than 2^32 events")
    }

    pub(super) fn accepted(&mut self, topic: u32, seq: u32, now_ns: u64) {
        self.0[index(topic)][index(seq)].fate = Fate::Accepted(now_ns);
    }

    pub(super) fn refused(&mut self, topic: u32, seq: u32) {
        self.0[index(topic)][index(seq)].fate = Fate::Refused;
    }

    /// How many sequence numbers of `topic` are given.
    pub(super) fn len(&self, topic: u32) -> u32 {
        u32::try_from(self.0[index(topic)].len()).unwrap_or(u32::MAX)
    }

    /// How many events of `topic` in `range` everyone must get.
    pub(super) fn due(&self, topic: u32, range: std::ops::Range<u32>) -> u64 {
        let events = &self.0[index(topic)][index(range.start)..index(range.end)];
        let accepted = |e: &&Entry| matches!(e.fate, Fate::Accepted(_));
        super::units::count(events.iter().filter(accepted).count())
    }

    /// Whether `first` was accepted before `second` was sent, so that the order is the
    /// server's to keep. Events in flight at once have none.
    pub(super) fn is_ordered(&self, topic: u32, first: u32, second: u32) -> bool {
        let events = &self.0[index(topic)];
        match (events.get(index(first)), events.get(index(second))) {
            (Some(first), Some(second)) => {
                matches!(first.fate, Fate::Accepted(at) if at <= second.sent_ns)
            }
            _ => false,
        }
    }
}
