//! Who learns of a commit: this instance's follower, its other parts, and the other instances.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::log::event::{Epoch, Event};
use crate::log::hints::{ChangeHints, PeerNotifier};
use crate::platform::{BrokerId, ChannelSender, Figures, InstanceCount, Queues};

/// Committed batches that may wait for the follower. When this many wait, a further commit becomes
/// a hint.
const WAITING_BATCHES: usize = 1_024;

/// Events that a transaction has committed to one log.
#[derive(Clone, Debug)]
pub struct CommittedBatch {
    pub broker: BrokerId,
    pub epoch: Epoch,
    /// The newest position after these events.
    pub head: i64,
    /// Events in front that other instances have committed, if the commit has read them.
    pub others: Option<Arc<Vec<Event>>>,
    /// Contiguous; the last event is at `head`.
    pub events: Arc<Vec<Event>>,
    /// When it was committed, or received from another instance.
    pub committed_at: Instant,
    /// Whether it was a transaction of this instance.
    pub is_own: bool,
}

/// Hints for a part of this instance that reads the logs beside the follower.
#[derive(Clone, Debug)]
pub struct CommitObserver {
    pub hints: ChangeHints,
    /// Commits without an event for which this is true give no hint.
    pub matters: fn(&Event) -> bool,
}

/// A part of this instance that needs the events of all logs: the instance's own commits at once,
/// those of other instances when the follower reads them.
pub trait LogObserver: std::fmt::Debug + Send + Sync {
    /// These events are in a brokerage's log. They may come late and more than once.
    fn saw(&self, broker: &BrokerId, events: &[Event]);
    /// A brokerage's log has grown by events that this instance does not read.
    fn missed(&self, broker: &BrokerId);
    /// Any log may have grown by events that this instance does not read.
    fn missed_any(&self);
}

/// Passes committed events to this instance's follower and to the other instances.
#[derive(Clone, Debug)]
pub struct CommitNotifier {
    batches: ChannelSender<CommittedBatch>,
    follower_hints: ChangeHints,
    peers: PeerNotifier,
    commit_observer: Option<CommitObserver>,
    log_observer: Option<Arc<dyn LogObserver>>,
    figures: Option<Figures>,
    instances: InstanceCount,
}

impl CommitNotifier {
    /// The notifier, and the batches that the follower receives.
    #[must_use]
    pub fn new(
        follower_hints: ChangeHints,
        peers: PeerNotifier,
        queues: &Queues,
    ) -> (Self, mpsc::Receiver<CommittedBatch>) {
        let (batches, committed) = queues.channel("committed", WAITING_BATCHES);
        let notifier = Self {
            batches,
            follower_hints,
            peers,
            commit_observer: None,
            log_observer: None,
            figures: None,
            instances: InstanceCount::default(),
        };
        (notifier, committed)
    }

    #[must_use]
    pub fn with_commit_observer(self, observer: CommitObserver) -> Self {
        let commit_observer = Some(observer);
        Self {
            commit_observer,
            ..self
        }
    }

    #[must_use]
    pub fn with_log_observer(self, observer: Arc<dyn LogObserver>) -> Self {
        let log_observer = Some(observer);
        Self {
            log_observer,
            ..self
        }
    }

    /// Wakes the loops of this instance that rest.
    #[must_use]
    pub fn with_instances(self, instances: InstanceCount) -> Self {
        Self { instances, ..self }
    }

    /// Counts the events of each brokerage.
    #[must_use]
    pub fn with_figures(self, figures: Figures) -> Self {
        let figures = Some(figures);
        Self { figures, ..self }
    }

    /// Wakes the loops of this instance that rest until something is committed.
    pub(super) fn wake_loops(&self) {
        self.instances.wake();
    }

    pub(super) fn notify_peers(&self, batch: &CommittedBatch) {
        self.peers.committed(batch);
    }

    /// Notifies this instance. Never waits: a batch that does not fit into the follower's queue becomes a hint.
    pub(super) fn notify(&self, batch: CommittedBatch) {
        if let Some(observer) = &self.log_observer {
            observer.saw(&batch.broker, &batch.events);
        }
        if let Some(figures) = &self.figures {
            let events = batch.events.len() as u64;
            figures.of(&batch.broker).published.add(events);
        }
        if let Some(CommitObserver { hints, matters }) = &self.commit_observer
            && batch.events.iter().any(matters)
        {
            hints.grown(&batch.broker, batch.head);
        }
        if let Err(refused) = self.batches.try_send(batch) {
            let batch = refused.into_inner();
            self.follower_hints.grown(&batch.broker, batch.head);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn broker() -> BrokerId {
        "b".parse().unwrap()
    }

    fn batch(head: i64) -> CommittedBatch {
        CommittedBatch {
            broker: broker(),
            epoch: Epoch::stored("e"),
            head,
            others: None,
            events: Arc::default(),
            committed_at: Instant::now(),
            is_own: true,
        }
    }

    #[tokio::test]
    async fn a_commit_that_does_not_fit_becomes_a_hint() {
        let hints = ChangeHints::default();
        let (peers, queues) = (PeerNotifier::default(), Queues::default());
        let (notifier, mut batches) = CommitNotifier::new(hints.clone(), peers, &queues);
        let last = i64::try_from(WAITING_BATCHES).unwrap() + 1;
        for head in 1..=last {
            notifier.notify(batch(head));
        }
        let hint = hints.take().now_or_never().expect("a hint");
        assert_eq!(hint.heads[&broker()], last);
        assert_eq!(batches.recv().await.unwrap().head, 1);
    }
}
