//! Notices for the other instances, collected until they are sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::{TaskChanges, TaskKey};
use crate::platform::BrokerId;

/// Signals that may wait to be sent. When one more comes, the oldest is dropped.
const WAITING_SIGNALS: usize = 4_096;

#[derive(Debug, Default)]
pub struct PendingNotices {
    /// These logs have grown at least to these heads.
    pub heads: FxHashMap<BrokerId, i64>,
    pub presence: bool,
    pub sessions: bool,
    pub signals: VecDeque<String>,
    pub tasks: TaskChanges,
}

impl PendingNotices {
    fn is_empty(&self) -> bool {
        let has_flags = self.presence || self.sessions;
        self.heads.is_empty() && !has_flags && self.signals.is_empty() && self.tasks.is_empty()
    }
}

/// Takes notices for the other instances. It never waits, and its memory is bounded.
#[derive(Clone, Debug, Default)]
pub struct PeerNotifier(Arc<SharedNotices>);

#[derive(Debug, Default)]
struct SharedNotices {
    pending: Mutex<PendingNotices>,
    arrived: Notify,
}

impl PeerNotifier {
    /// This log has grown to `head`.
    pub fn grown(&self, broker: &BrokerId, head: i64) {
        let mut pending = self.pending();
        let known = pending.heads.entry(broker.clone()).or_insert(head);
        *known = head.max(*known);
        drop(pending);
        self.0.arrived.notify_one();
    }

    pub fn presence(&self) {
        self.pending().presence = true;
        self.0.arrived.notify_one();
    }

    /// Something was revoked, or a stream elsewhere gets a fresh token.
    pub fn sessions(&self) {
        self.pending().sessions = true;
        self.0.arrived.notify_one();
    }

    /// A task or its output has changed.
    pub fn task(&self, key: TaskKey) {
        self.pending().tasks.add(key);
        self.0.arrived.notify_one();
    }

    /// Takes a signal. Returns `false` when an older one was dropped for it.
    #[must_use]
    pub fn signal(&self, line: String) -> bool {
        let mut pending = self.pending();
        let is_full = pending.signals.len() >= WAITING_SIGNALS;
        if is_full {
            pending.signals.pop_front();
        }
        pending.signals.push_back(line);
        drop(pending);
        self.0.arrived.notify_one();
        !is_full
    }

    /// Waits for notices and takes them.
    pub async fn take(&self) -> PendingNotices {
        loop {
            let pending = std::mem::take(&mut *self.pending());
            if !pending.is_empty() {
                return pending;
            }
            self.0.arrived.notified().await;
        }
    }

    fn pending(&self) -> MutexGuard<'_, PendingNotices> {
        let pending = self.0.pending.lock();
        pending.unwrap_or_else(PoisonError::into_inner)
    }
}
