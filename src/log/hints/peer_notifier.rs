//! Notices for the other instances, collected until they are sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use super::{TaskChanges, TaskKey};
use crate::log::CommittedBatch;
use crate::platform::BrokerId;

/// Signals that may wait to be sent. When one more comes, the oldest is dropped.
const WAITING_SIGNALS: usize = 4_096;
/// Changes of presence that may wait to be sent.
const WAITING_SIGNS: usize = 4_096;
/// Events that may wait to be sent, and the bytes of their contents. A commit that does not fit becomes a
/// head.
const WAITING_EVENTS: usize = 8_192;
const WAITING_BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub struct PendingNotices {
    /// These logs have grown at least to these heads.
    pub heads: FxHashMap<BrokerId, i64>,
    /// Committed events, if the backplane carries them. Those of one log are in the order in which their
    /// commits were noticed.
    pub batches: Vec<CommittedBatch>,
    /// The brokerages whose presence has changed.
    pub presence: FxHashSet<BrokerId>,
    /// Changes of presence, if the backplane carries them.
    pub signs: Vec<PeerText>,
    pub sessions: bool,
    pub signals: VecDeque<PeerText>,
    pub tasks: TaskChanges,
    events: usize,
    event_bytes: usize,
}

/// A signal, or changes of presence, for the other instances.
#[derive(Debug)]
pub struct PeerText {
    pub broker: BrokerId,
    pub text: String,
}

impl PendingNotices {
    fn is_empty(&self) -> bool {
        let has_logs = !self.heads.is_empty() || !self.batches.is_empty();
        let has_presence = !self.presence.is_empty() || !self.signs.is_empty();
        let has_others = !self.signals.is_empty() || !self.tasks.is_empty() || self.sessions;
        !has_logs && !has_presence && !has_others
    }

    fn grown(&mut self, broker: &BrokerId, head: i64) {
        let known = self.heads.entry(broker.clone()).or_insert(head);
        *known = head.max(*known);
    }

    /// Returns whether there is space for the batch.
    fn add_batch(&mut self, batch: &CommittedBatch) -> bool {
        let events = self.events + batch.events.len();
        let bytes = batch.events.iter().map(|event| event.body.content_bytes());
        let bytes = self.event_bytes + bytes.sum::<usize>();
        let fits = events <= WAITING_EVENTS && bytes <= WAITING_BYTES;
        if fits {
            (self.events, self.event_bytes) = (events, bytes);
            self.batches.push(batch.clone());
        }
        fits
    }
}

/// Takes notices for the other instances. It never waits, and its memory is bounded.
#[derive(Clone, Debug, Default)]
pub struct PeerNotifier(Arc<SharedNotices>);

#[derive(Debug, Default)]
struct SharedNotices {
    /// Whether the backplane carries committed events and changes of presence.
    carries_contents: bool,
    pending: Mutex<PendingNotices>,
    arrived: Notify,
}

impl PeerNotifier {
    /// For a backplane that carries committed events and changes of presence.
    #[must_use]
    pub fn carrying_contents() -> Self {
        Self(Arc::new(SharedNotices {
            carries_contents: true,
            ..SharedNotices::default()
        }))
    }

    #[must_use]
    pub fn carries_contents(&self) -> bool {
        self.0.carries_contents
    }

    /// Events were committed to a log.
    pub fn committed(&self, batch: &CommittedBatch) {
        let mut pending = self.pending();
        if !self.0.carries_contents || !pending.add_batch(batch) {
            pending.grown(&batch.broker, batch.head);
        }
        drop(pending);
        self.0.arrived.notify_one();
    }

    /// The presence of these brokerages has changed.
    pub fn presence(&self, brokers: impl IntoIterator<Item = BrokerId>) {
        self.pending().presence.extend(brokers);
        self.0.arrived.notify_one();
    }

    /// Changes of presence. When too many wait, the others learn only that there are some.
    pub fn signs(&self, signs: PeerText) {
        let mut pending = self.pending();
        if pending.signs.len() < WAITING_SIGNS {
            pending.signs.push(signs);
        } else {
            pending.presence.insert(signs.broker);
        }
        drop(pending);
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
    pub fn signal(&self, signal: PeerText) -> bool {
        let mut pending = self.pending();
        let is_full = pending.signals.len() >= WAITING_SIGNALS;
        if is_full {
            pending.signals.pop_front();
        }
        pending.signals.push_back(signal);
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
