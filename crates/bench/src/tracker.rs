//! What one subscriber received, checked against its topic's sequence.

use std::ops::Range;

use crate::ledger::Ledger;
use crate::marker::Mark;

#[derive(Debug)]
pub(crate) struct Tracker {
    topic: u32,
    /// The sequence number after the highest received one.
    next: u32,
    /// The missing ranges below `next`, in order.
    gaps: Vec<Range<u32>>,
    pub counts: Counts,
    /// The time of the last event.
    pub last_ns: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Different events.
    pub received: u64,
    /// Events received again.
    pub repeated: u64,
    /// Events that arrived after a later one, although they were accepted before that was sent.
    pub out_of_order: u64,
    /// Events in another order than sent, which were being published at the same time.
    pub interleaved: u64,
    /// Events of another topic.
    pub misrouted: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.repeated += other.repeated;
        self.out_of_order += other.out_of_order;
        self.interleaved += other.interleaved;
        self.misrouted += other.misrouted;
    }
}

impl Tracker {
    pub(crate) fn new(topic: u32) -> Self {
        Self {
            topic,
            next: 0,
            gaps: Vec::new(),
            counts: Counts::default(),
            last_ns: 0,
        }
    }

    pub(crate) fn receive(&mut self, mark: Mark, ledger: &Ledger) {
        if mark.topic != self.topic || mark.seq >= ledger.len(self.topic) {
            self.counts.misrouted += 1;
        } else if mark.seq >= self.next {
            if mark.seq > self.next {
                self.gaps.push(self.next..mark.seq);
            }
            self.next = mark.seq + 1;
            self.counts.received += 1;
        } else {
            self.receive_late(mark.seq, ledger);
        }
    }

    fn receive_late(&mut self, seq: u32, ledger: &Ledger) {
        let at = self.gaps.partition_point(|gap| gap.end <= seq);
        let Some(gap) = self.gaps.get(at).filter(|gap| gap.contains(&seq)).cloned() else {
            self.counts.repeated += 1;
            return;
        };
        let rest = [gap.start..seq, seq + 1..gap.end];
        let rest = rest.into_iter().filter(|range| !range.is_empty());
        self.gaps.splice(at..=at, rest);
        self.counts.received += 1;
        if ledger.is_ordered(self.topic, seq, self.next - 1) {
            self.counts.out_of_order += 1;
        } else {
            self.counts.interleaved += 1;
        }
    }

    /// The number of accepted events.
    pub(crate) fn due(&self, ledger: &Ledger) -> u64 {
        ledger.due(self.topic, 0..ledger.len(self.topic))
    }

    /// The number of accepted events that have not arrived.
    pub(crate) fn missing(&self, ledger: &Ledger) -> u64 {
        let tail = self.next..ledger.len(self.topic);
        let gaps = self.gaps.iter().cloned().chain([tail]);
        gaps.map(|gap| ledger.due(self.topic, gap)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: u32 = 1;

    /// Six events, each accepted before the next is sent, except the last two.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(2);
        for n in 0..4 {
            let seq = ledger.sent(TOPIC, n * 10);
            ledger.accepted(TOPIC, seq, n * 10 + 5);
        }
        ledger.sent(TOPIC, 40);
        ledger.sent(TOPIC, 41);
        ledger.accepted(TOPIC, 4, 50);
        ledger.accepted(TOPIC, 5, 51);
        ledger
    }

    fn after(seqs: &[u32], ledger: &Ledger) -> (Counts, u64) {
        let mut tracker = Tracker::new(TOPIC);
        for seq in seqs.iter().copied() {
            let (topic, due_ns) = (TOPIC, 0);
            tracker.receive(Mark { topic, seq, due_ns }, ledger);
        }
        (tracker.counts, tracker.missing(ledger))
    }

    #[test]
    fn an_event_that_never_arrives_is_missing() {
        let (counts, missing) = after(&[0, 3], &ledger());
        assert_eq!((counts.received, missing), (2, 4));
        assert_eq!(after(&[0, 1, 2, 3, 4, 5], &ledger()).1, 0);
        assert_eq!(after(&[], &ledger()).1, 6);
    }

    #[test]
    fn an_event_that_arrives_late_is_out_of_order_and_not_missing() {
        let (counts, missing) = after(&[0, 3, 2, 1, 4, 5], &ledger());
        assert_eq!((counts.out_of_order, counts.repeated, missing), (2, 0, 0));
    }

    #[test]
    fn an_event_that_arrives_twice_is_repeated() {
        let (counts, missing) = after(&[0, 0, 3, 1, 1, 3], &ledger());
        assert_eq!((counts.received, counts.repeated, missing), (3, 3, 3));
    }

    #[test]
    fn events_that_are_published_at_the_same_time_have_no_order() {
        let (counts, missing) = after(&[0, 1, 2, 3, 5, 4], &ledger());
        assert_eq!((counts.interleaved, counts.out_of_order), (1, 0));
        assert_eq!((counts.received, missing), (6, 0));
    }

    #[test]
    fn an_event_that_was_refused_or_never_answered_is_not_missing() {
        let mut ledger = ledger();
        let refused = ledger.sent(TOPIC, 60);
        ledger.refused(TOPIC, refused);
        ledger.sent(TOPIC, 70);
        assert_eq!(after(&[0, 1, 2, 3, 4, 5], &ledger).1, 0);
    }

    #[test]
    fn events_of_other_topics_are_misrouted() {
        let mut tracker = Tracker::new(0);
        let (topic, seq, due_ns) = (TOPIC, 0, 0);
        tracker.receive(Mark { topic, seq, due_ns }, &ledger());
        assert_eq!(tracker.counts.misrouted, 1);
    }
}
