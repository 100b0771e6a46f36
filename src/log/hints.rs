//! Hints that a log has grown or a task has changed. A hint means "look again". When all hints
//! are lost, events come later; none is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::platform::BrokerId;

mod peer_notifier;
mod tasks;

pub use peer_notifier::{PeerNotifier, PendingNotices};
pub use tasks::{TaskChanges, TaskHints, TaskKey, TaskListener, TaskNotices};

/// The logs that have changed since the hints were last taken.
#[derive(Debug, Default)]
pub struct Changes {
    /// Any log may have changed.
    pub everywhere: bool,
    /// These logs have grown at least to these heads.
    pub heads: FxHashMap<BrokerId, i64>,
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

    /// Hints may have been lost: any log may have grown.
    pub fn grown_anywhere(&self) {
        self.changes().everywhere = true;
        self.0.arrived.notify_one();
    }

    /// Waits for hints and takes them.
    pub async fn take(&self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.changes());
            if changes.everywhere || !changes.heads.is_empty() {
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

    #[tokio::test]
    async fn an_older_hint_does_not_replace_a_newer_one() {
        let broker: BrokerId = "b".parse().unwrap();
        let (hints, peers) = (ChangeHints::default(), PeerNotifier::default());
        for head in [3, 7, 5] {
            hints.grown(&broker, head);
            peers.grown(&broker, head);
        }
        assert_eq!(hints.take().await.heads[&broker], 7);
        assert_eq!(peers.take().await.heads[&broker], 7);
    }
}
