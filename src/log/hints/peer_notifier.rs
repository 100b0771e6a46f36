//! What the other instances are to be told, gathered until it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::{TaskChanges, TaskKey};
use crate::platform::BrokerId;

/// Signals that may wait to be told; then the oldest is given up.
const WAITING_SIGNALS: usize = 4_096;

#[derive(Debug, Default)]
pub struct PendingNotices {
    /// These logs have grown at least to these heads.
    pub heads: FxHashMap<BrokerId, i64>,
    pub presence: bool,
    pub signals: VecDeque<String>,
    pub tasks: TaskChanges,
}

impl PendingNotices {
    fn is_empty(&self) -> bool {
        let is_quiet = self.heads.is_empty() && !self.presence && self.signals.is_empty();
        is_quiet && self.tasks.is_empty()
    }
}

/// Where one speaks to the other instances. It never waits, and its memory is bounded.
#[derive(Clone, Debug, Default)]
pub struct PeerNotifier(Arc<(Mutex<PendingNotices>, Notify)>);

impl PeerNotifier {
    /// This log has grown to `head`.
    pub fn grown(&self, broker: &BrokerId, head: i64) {
        let mut speech = self.speech();
        let known = speech.heads.entry(broker.clone()).or_insert(head);
        *known = head.max(*known);
        drop(speech);
        self.0.1.notify_one();
    }

    pub fn presence(&self) {
        self.speech().presence = true;
        self.0.1.notify_one();
    }

    /// A task or its output has changed.
    pub fn task(&self, key: TaskKey) {
        self.speech().tasks.add(key);
        self.0.1.notify_one();
    }

    /// A signal; `false` when another one had to be given up for it.
    #[must_use]
    pub fn signal(&self, line: String) -> bool {
        let mut speech = self.speech();
        let is_full = speech.signals.len() >= WAITING_SIGNALS;
        if is_full {
            speech.signals.pop_front();
        }
        speech.signals.push_back(line);
        drop(speech);
        self.0.1.notify_one();
        !is_full
    }

    /// Waits for something to tell and takes it.
    pub async fn take(&self) -> PendingNotices {
        loop {
            let speech = std::mem::take(&mut *self.speech());
            if !speech.is_empty() {
                return speech;
            }
            self.0.1.notified().await;
        }
    }

    fn speech(&self) -> MutexGuard<'_, PendingNotices> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
