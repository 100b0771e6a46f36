//! Hints that a log has grown or a task has changed. A hint means "look again". When all hints
//! are lost, events come later; none is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use crate::platform::BrokerId;

mod peer_notifier;
mod tasks;

pub use peer_notifier::{PeerNotifier, PeerText, PendingNotices};
pub use tasks::{TaskChanges, TaskHints, TaskKey, TaskListener, TaskNotices};

/// The logs that have changed since the hints were last taken.
#[derive(Debug, Default)]
pub struct Changes {
    /// Any log may have changed.
    pub everywhere: bool,
    /// These logs have grown at least to these heads.
    pub heads: FxHashMap<BrokerId, i64>,
    /// These logs may have grown.
    pub unverified: FxHashSet<BrokerId>,
}

/// Collects hints for one reader. It keeps the newest head of each log, so its memory is bounded
/// by the number of logs.
#[derive(Clone, Debug, Default)]
pub struct ChangeHints(Arc<SharedChanges>);

#[derive(Debug, Default)]
struct SharedChanges {
    changes: Mutex<Changes>,
    arrived: Notify,
}

impl ChangeHints {
    /// This log has grown to `head`.
    pub fn grown(&self, broker: &BrokerId, head: i64) {
        let mut changes = self.changes();
        let known = changes.heads.entry(broker.clone()).or_insert(head);
        *known = head.max(*known);
        drop(changes);
        self.0.arrived.notify_one();
    }

    /// Hints about this log may have been lost.
    pub fn may_have_grown(&self, broker: &BrokerId) {
        self.changes().unverified.insert(broker.clone());
        self.0.arrived.notify_one();
    }

    /// Hints may have been lost: any log may have grown.
    pub fn grown_anywhere(&self) {
        self.changes().everywhere = true;
        self.0.arrived.notify_one();
    }

    /// Waits for hints and takes them.
    pub async fn take(&self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.changes());
            let names_none = changes.heads.is_empty() && changes.unverified.is_empty();
            if changes.everywhere || !names_none {
                return changes;
            }
            self.0.arrived.notified().await;
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        let changes = self.0.changes.lock();
        changes.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Audience, CommittedBatch, Epoch, Event, NewEvent};

    #[tokio::test]
    async fn an_older_hint_does_not_replace_a_newer_one() {
        let broker: BrokerId = "b".parse().unwrap();
        let (hints, peers) = (ChangeHints::default(), PeerNotifier::default());
        for head in [3, 7, 5] {
            hints.grown(&broker, head);
            peers.committed(&batch(head));
        }
        assert_eq!(hints.take().await.heads[&broker], 7);
        let notices = peers.take().await;
        assert_eq!(notices.heads[&broker], 7);
        assert!(notices.batches.is_empty());
    }

    #[tokio::test]
    async fn committed_events_wait_while_there_is_space_and_become_a_head_then() {
        let peers = PeerNotifier::carrying_contents();
        for head in 1..=10_000 {
            peers.committed(&batch(head));
        }
        let (notices, broker) = (peers.take().await, "b".parse::<BrokerId>().unwrap());
        assert_eq!(notices.batches.len(), 8_192);
        assert_eq!(notices.heads[&broker], 10_000);
        peers.committed(&batch(10_001));
        let notices = peers.take().await;
        assert_eq!((notices.batches.len(), notices.heads.len()), (1, 0));
    }

    fn batch(head: i64) -> CommittedBatch {
        let event_type = crate::platform::EventType::parse("a:b").unwrap();
        let event = Event {
            position: head,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            body: NewEvent::new(Audience::Broker, event_type),
        };
        CommittedBatch {
            others: None,
            broker: "b".parse().unwrap(),
            epoch: Epoch::stored("e"),
            head,
            events: Arc::new(vec![event]),
            committed_at: tokio::time::Instant::now(),
            is_own: true,
        }
    }
}
