//! Hints that a log has grown or a task has changed: "look again". Losing every one costs time,
//! never an event.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};

use crate::log::event::{Epoch, Event};
use crate::platform::BrokerId;

mod peer_notifier;
mod tasks;

pub use peer_notifier::{PeerNotifier, PendingNotices};
pub use tasks::{TaskChanges, TaskHints, TaskKey, TaskListener, TaskNotices};

/// Committed batches that may wait for the follower; more of them become plain hints.
const WAITING_BATCHES: usize = 1_024;

/// What is known to have happened to logs since somebody last looked.
#[derive(Debug, Default)]
pub struct Changes {
    /// Anything may have happened anywhere.
    pub everywhere: bool,
    /// These logs have grown at least to these heads.
    pub heads: FxHashMap<BrokerId, i64>,
}

/// A board that hints are pinned to. It keeps the newest per log, so it cannot overflow.
#[derive(Clone, Debug, Default)]
pub struct ChangeHints(Arc<(Mutex<Changes>, Notify)>);

impl ChangeHints {
    /// This log has grown to `head`.
    pub fn grown(&self, broker: &BrokerId, head: i64) {
        let mut news = self.news();
        let known = news.heads.entry(broker.clone()).or_insert(head);
        *known = head.max(*known);
        drop(news);
        self.0.1.notify_one();
    }

    /// Hints may have been lost: look everywhere.
    pub fn anything(&self) {
        self.news().everywhere = true;
        self.0.1.notify_one();
    }

    /// Waits for hints and takes them.
    pub async fn take(&self) -> Changes {
        loop {
            let news = std::mem::take(&mut *self.news());
            if news.everywhere || !news.heads.is_empty() {
                return news;
            }
            self.0.1.notified().await;
        }
    }

    fn news(&self) -> MutexGuard<'_, Changes> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events that a transaction of this instance has committed.
#[derive(Debug)]
pub struct CommittedBatch {
    pub broker: BrokerId,
    pub epoch: Epoch,
    /// The newest position after them.
    pub head: i64,
    /// The events; contiguous, the last at `head`.
    pub events: Vec<Event>,
}

/// Somebody here who reads on in logs beside the follower, in what matters to them.
#[derive(Clone, Debug)]
pub struct CommitObserver {
    pub dispatcher: ChangeHints,
    /// Whether an event matters to them.
    pub minds: fn(&Event) -> bool,
}

/// Somebody here who follows what happens in all logs: this instance's own commits at once, and
/// what it reads of others' when it reads it.
pub trait LogObserver: std::fmt::Debug + Send + Sync {
    /// These events are in a broker's log. They may come more than once, and late.
    fn saw(&self, broker: &BrokerId, events: &[Event]);
    /// A broker's log went on by events that are not read here.
    fn missed(&self, broker: &BrokerId);
    /// The same may be true of any log.
    fn missed_any(&self);
}

/// Where own commits are told: to this instance's follower, and to the other instances.
#[derive(Clone, Debug)]
pub struct CommitNotifier {
    batches: mpsc::Sender<CommittedBatch>,
    here: ChangeHints,
    elsewhere: PeerNotifier,
    commit_observer: Option<CommitObserver>,
    observer: Option<Arc<dyn LogObserver>>,
}

impl CommitNotifier {
    /// A teller, and the follower's end of it.
    #[must_use]
    pub fn new(
        here: ChangeHints,
        elsewhere: PeerNotifier,
    ) -> (Self, mpsc::Receiver<CommittedBatch>) {
        let (batches, waiting) = mpsc::channel(WAITING_BATCHES);
        (
            Self {
                batches,
                here,
                elsewhere,
                commit_observer: None,
                observer: None,
            },
            waiting,
        )
    }

    /// The same, telling somebody else too.
    #[must_use]
    pub fn beside(self, observer: CommitObserver) -> Self {
        let commit_observer = Some(observer);
        Self {
            commit_observer,
            ..self
        }
    }

    /// The same, telling this observer too.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn LogObserver>) -> Self {
        let observer = Some(observer);
        Self { observer, ..self }
    }

    /// Tells of a commit. Never waits: what does not fit becomes a hint.
    pub fn tell(&self, batch: CommittedBatch) {
        if let Some(observer) = &self.observer {
            observer.saw(&batch.broker, &batch.events);
        }
        self.elsewhere.grown(&batch.broker, batch.head);
        if let Some(CommitObserver { dispatcher, minds }) = &self.commit_observer
            && batch.events.iter().any(minds)
        {
            dispatcher.grown(&batch.broker, batch.head);
        }
        if let Err(refused) = self.batches.try_send(batch) {
            let batch = refused.into_inner();
            self.here.grown(&batch.broker, batch.head);
        }
    }
}
