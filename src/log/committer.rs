//! The one commit path: append events, commit, notify.
//!
//! An event belongs to the transaction of its change. Streams and other instances are notified
//! after the commit, and only then.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::append::shared::{CommitSharing, SharedAppend};
use super::append::{Appended, EventBatch, append};
use super::event::{Epoch, Event, NewEvent};
use super::hints::{ChangeHints, PeerNotifier};
use crate::platform::traces::{Attribute, OpenSpan, SpanKind, Tracer};
use crate::platform::{BrokerId, ChannelSender, Dice, Figures, InstanceCount, Queues, Transaction};

/// Committed batches that may wait for the follower. When this many wait, a further commit becomes
/// a hint.
const WAITING_BATCHES: usize = 1_024;

/// Appends events to logs, commits them and notifies.
#[derive(Clone, Debug)]
pub struct EventCommitter {
    dice: Dice,
    notifier: CommitNotifier,
    /// If other instances share the logs and learn of commits from the database.
    sharing: Option<CommitSharing>,
    tracer: Tracer,
}

/// Events that a transaction has appended and not yet committed.
#[derive(Debug, Default)]
pub struct PendingEvents {
    logs: Vec<PendingLog>,
    /// Whether the commit notifies the other instances by itself.
    is_announced: bool,
    /// If an event belongs to a sampled request. It ends with the commit.
    span: Option<OpenSpan>,
}

#[derive(Debug)]
struct PendingLog {
    appended: Appended,
    events: Vec<NewEvent>,
    others: Option<Vec<Event>>,
}

impl PendingEvents {
    /// The first log that was appended to, if there is one.
    #[must_use]
    pub fn log(&self) -> Option<&Appended> {
        self.logs.first().map(|log| &log.appended)
    }

    pub(super) fn logs(&self) -> Vec<Appended> {
        self.logs.iter().map(|log| log.appended.clone()).collect()
    }
}

impl EventCommitter {
    #[must_use]
    pub fn new(dice: Dice, notifier: CommitNotifier) -> Self {
        Self {
            dice,
            notifier,
            sharing: None,
            tracer: Tracer::default(),
        }
    }

    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    #[must_use]
    pub fn with_sharing(self, sharing: Option<CommitSharing>) -> Self {
        Self { sharing, ..self }
    }

    /// The source of epochs for new logs.
    #[must_use]
    pub fn dice(&self) -> &Dice {
        &self.dice
    }

    /// Appends events, possibly none. The transaction holds the lock on the brokerage's log from
    /// here to its end.
    pub async fn append(
        &self,
        transaction: &mut Transaction<'_>,
        broker: &BrokerId,
        events: Vec<NewEvent>,
    ) -> sqlx::Result<PendingEvents> {
        let events = BTreeMap::from([(broker.clone(), events)]);
        self.append_all(transaction, events).await
    }

    /// Appends to the logs of many brokerages with one statement.
    pub async fn append_all(
        &self,
        transaction: &mut Transaction<'_>,
        events: BTreeMap<BrokerId, Vec<NewEvent>>,
    ) -> sqlx::Result<PendingEvents> {
        self.append_on(transaction, events, None).await
    }

    /// Like [`Self::append_all`], for what users post: this is most of what instances commit. The commit is shared
    /// with the other instances.
    pub(super) async fn append_posted(
        &self,
        connection: &mut PgConnection,
        events: BTreeMap<BrokerId, Vec<NewEvent>>,
    ) -> sqlx::Result<PendingEvents> {
        let sharing = self.sharing.as_ref();
        self.append_on(connection, events, sharing).await
    }

    /// Commits the change with its events, then notifies.
    pub async fn commit(
        &self,
        transaction: Transaction<'_>,
        pending: PendingEvents,
    ) -> sqlx::Result<()> {
        transaction.commit().await?;
        self.notify(pending);
        Ok(())
    }

    /// Appends to one log, commits and notifies.
    pub async fn conclude(
        &self,
        mut transaction: Transaction<'_>,
        broker: &BrokerId,
        events: Vec<NewEvent>,
    ) -> sqlx::Result<()> {
        let pending = self.append(&mut transaction, broker, events).await?;
        self.commit(transaction, pending).await
    }

    /// Appends events that belong to no other change, commits and notifies.
    ///
    /// One statement is a transaction by itself. This saves the round trips of `begin` and
    /// `commit`. A change of owners needs a second statement and therefore a transaction.
    pub(super) async fn publish(
        &self,
        connection: &mut PgConnection,
        events: BTreeMap<BrokerId, Vec<NewEvent>>,
    ) -> sqlx::Result<Vec<Appended>> {
        let mut all_events = events.values().flatten();
        if all_events.any(|event| event.is_new_owner) {
            let mut transaction = Transaction::begin(connection).await?;
            let pending = self.append_all(&mut transaction, events).await?;
            let logs = pending.logs();
            self.commit(transaction, pending).await?;
            return Ok(logs);
        }
        let pending = self.append_posted(connection, events).await?;
        let logs = pending.logs();
        self.notify(pending);
        Ok(logs)
    }

    async fn append_on(
        &self,
        connection: &mut PgConnection,
        mut events: BTreeMap<BrokerId, Vec<NewEvent>>,
        sharing: Option<&CommitSharing>,
    ) -> sqlx::Result<PendingEvents> {
        events.retain(|_, events| !events.is_empty());
        if events.is_empty() {
            return Ok(PendingEvents::default());
        }
        let batches = events.iter();
        let batches = batches.map(|(broker, events)| EventBatch { broker, events });
        let batches: Vec<_> = batches.collect();
        let requests = events.values().flatten();
        let requests = requests.filter_map(|event| event.trace.as_ref());
        let span = self.tracer.about("commit", SpanKind::Internal, requests);
        let sharing = sharing.filter(|sharing| sharing.suits(&batches));
        let appended = self.append_with(connection, sharing, &batches).await?;
        let is_announced = sharing.is_some();
        let logs = appended.into_iter().map(|log| PendingLog {
            events: events.remove(&log.appended.broker).unwrap_or_default(),
            appended: log.appended,
            others: log.others,
        });
        Ok(PendingEvents {
            logs: logs.collect(),
            is_announced,
            span,
        })
    }

    async fn append_with(
        &self,
        connection: &mut PgConnection,
        sharing: Option<&CommitSharing>,
        batches: &[EventBatch<'_>],
    ) -> sqlx::Result<Vec<SharedAppend>> {
        if let Some(sharing) = sharing {
            return sharing.append(connection, &self.dice, batches).await;
        }
        let appended = append(connection, &self.dice, batches).await?;
        Ok(appended.into_iter().map(SharedAppend::alone).collect())
    }

    fn notify(&self, pending: PendingEvents) {
        let committed_at = Instant::now();
        self.notifier.instances.wake();
        if let Some(mut span) = pending.span {
            let events = pending.logs.iter().map(|log| log.events.len()).sum();
            span.add(Attribute::count("porchlight.events", events));
            span.add(Attribute::count("porchlight.logs", pending.logs.len()));
            span.end();
        }
        for log in pending.logs {
            let appended = log.appended;
            let batch = CommittedBatch {
                head: appended.head(),
                epoch: appended.epoch.clone(),
                others: log.others.map(Arc::new),
                events: Arc::new(appended.events(log.events).collect()),
                broker: appended.broker,
                committed_at,
                is_own: true,
            };
            if !pending.is_announced {
                self.notifier.peers.committed(&batch);
            }
            self.notifier.notify(batch);
        }
    }
}

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

    /// Notifies this instance. Never waits: a batch that does not fit into the follower's queue becomes a hint.
    fn notify(&self, batch: CommittedBatch) {
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
