//! Batches that arrived before the events in front of them: instances commit to the same log, and what one
//! of them sends may overtake what another sends. They wait a moment, which costs less than a query.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::log::{CommittedBatch, Epoch};
use crate::platform::BrokerId;

/// How long a batch waits for those in front of it. Then the follower reads the table.
const LONGEST_WAIT: Duration = Duration::from_millis(40);
/// Batches of one log that wait.
const MOST_HELD: usize = 256;

#[derive(Debug, Default)]
pub(super) struct HeldBatches(FxHashMap<BrokerId, HeldLog>);

/// The batches of one log: all have the same epoch.
#[derive(Debug)]
struct HeldLog {
    epoch: Epoch,
    until: Instant,
    /// By the position of the first event.
    batches: BTreeMap<i64, CommittedBatch>,
}

/// A log whose missing events did not arrive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IncompleteLog {
    pub(super) broker: BrokerId,
    /// The newest position of the batches that waited.
    pub(super) head: i64,
}

impl HeldBatches {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a batch until those in front of it have arrived. Returns whether there was space. Batches of another epoch
    /// are dropped: their positions say nothing about this log.
    pub(super) fn hold(&mut self, batch: CommittedBatch, now: Instant) -> bool {
        let Some(first) = batch.events.first().map(|event| event.position) else {
            return true;
        };
        let empty = || HeldLog {
            epoch: batch.epoch.clone(),
            until: now + LONGEST_WAIT,
            batches: BTreeMap::new(),
        };
        let log = self.0.entry(batch.broker.clone()).or_insert_with(empty);
        if log.epoch != batch.epoch {
            *log = empty();
        }
        let has_space = log.batches.len() < MOST_HELD;
        if has_space {
            log.batches.insert(first, batch);
        }
        has_space
    }

    /// The next batch of a log that is known up to `known`, if it is here. Older ones are dropped, and those of another
    /// epoch.
    pub(super) fn next(
        &mut self,
        broker: &BrokerId,
        epoch: &Epoch,
        known: i64,
        now: Instant,
    ) -> Option<CommittedBatch> {
        let log = self.0.get_mut(broker)?;
        if log.epoch != *epoch {
            self.0.remove(broker);
            return None;
        }
        log.batches.retain(|_, batch| batch.head > known);
        let first = log.batches.first_entry();
        let next = first.filter(|first| *first.key() <= known + 1);
        let next = next.map(OccupiedEntry::remove);
        if log.batches.is_empty() {
            self.0.remove(broker);
        } else if next.is_some() {
            // What waits now has another gap in front of it.
            log.until = now + LONGEST_WAIT;
        }
        next
    }

    /// When the first log has waited long enough.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.0.values().map(|log| log.until).min()
    }

    /// Removes the logs that have waited long enough.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<IncompleteLog> {
        let mut due = Vec::new();
        self.0.retain(|broker, log| {
            let is_due = log.until <= now;
            if is_due {
                due.push(IncompleteLog::of(broker, log));
            }
            !is_due
        });
        due
    }

    /// Removes a log, and returns it if batches waited.
    pub(super) fn take(&mut self, broker: &BrokerId) -> Option<IncompleteLog> {
        let log = self.0.remove(broker)?;
        Some(IncompleteLog::of(broker, &log))
    }
}

impl IncompleteLog {
    fn of(broker: &BrokerId, log: &HeldLog) -> Self {
        let heads = log.batches.values().map(|batch| batch.head);
        Self {
            broker: broker.clone(),
            head: heads.max().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::{Audience, Event, NewEvent};
    use crate::platform::EventType;

    fn broker() -> BrokerId {
        "b".parse().unwrap()
    }

    fn epoch() -> Epoch {
        Epoch::stored("e")
    }

    fn batch(first: i64, head: i64) -> CommittedBatch {
        let event = |position| Event {
            position,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            body: NewEvent::new(Audience::Broker, EventType::parse("a:b").unwrap()),
        };
        CommittedBatch {
            broker: broker(),
            epoch: epoch(),
            head,
            others: None,
            events: Arc::new((first..=head).map(event).collect()),
            committed_at: Instant::now(),
            is_own: false,
        }
    }

    #[test]
    fn batches_come_in_order_when_the_missing_one_has_arrived() {
        let (mut held, now) = (HeldBatches::default(), Instant::now());
        for (first, head) in [(7, 9), (3, 4), (5, 6)] {
            assert!(held.hold(batch(first, head), now));
        }
        assert!(held.next(&broker(), &epoch(), 1, now).is_none());
        let mut known = 2;
        while let Some(next) = held.next(&broker(), &epoch(), known, now) {
            assert_eq!(next.events[0].position, known + 1);
            known = next.head;
        }
        assert_eq!(known, 9);
        assert!(held.is_empty());
    }

    #[test]
    fn a_batch_that_was_read_meanwhile_is_dropped() {
        let (mut held, now) = (HeldBatches::default(), Instant::now());
        held.hold(batch(3, 4), now);
        assert!(held.next(&broker(), &epoch(), 8, now).is_none());
        assert!(held.is_empty());
        held.hold(batch(3, 6), now);
        assert_eq!(held.next(&broker(), &epoch(), 4, now).unwrap().head, 6);
    }

    #[test]
    fn batches_of_another_epoch_are_never_published_with_those_of_this_one() {
        let (mut held, now) = (HeldBatches::default(), Instant::now());
        let renewed = Epoch::stored("renewed");
        // The log has got a new epoch and goes on at 3, where the batch of the old one would fit.
        held.hold(batch(4, 5), now);
        assert!(held.next(&broker(), &renewed, 3, now).is_none());
        assert!(held.is_empty());
        // It has got one while further batches arrive.
        held.hold(batch(4, 5), now);
        held.hold(batch(8, 9), now);
        let new = CommittedBatch {
            epoch: renewed.clone(),
            ..batch(6, 7)
        };
        held.hold(new, now);
        assert!(held.next(&broker(), &renewed, 3, now).is_none());
        let next = held.next(&broker(), &renewed, 5, now).unwrap();
        assert_eq!((next.epoch, next.head), (renewed, 7));
        assert!(held.is_empty());
    }

    #[test]
    fn a_gap_that_stays_is_due_after_a_moment_and_a_full_log_at_once() {
        let (mut held, now) = (HeldBatches::default(), Instant::now());
        held.hold(batch(3, 4), now);
        let due_at = held.due_at().unwrap();
        assert!(held.take_due(now).is_empty());
        let due = held.take_due(due_at);
        let incomplete = |head| IncompleteLog {
            broker: broker(),
            head,
        };
        assert_eq!(due, [incomplete(4)]);
        assert!(held.is_empty());
        let most = i64::try_from(MOST_HELD).unwrap();
        assert!((3..3 + most).all(|n| held.hold(batch(2 * n, 2 * n), now)));
        assert!(!held.hold(batch(9_999, 9_999), now));
        assert_eq!(held.take(&broker()), Some(incomplete(2 * (2 + most))));
    }
}
