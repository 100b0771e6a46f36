//! The one commit path: append events, commit, notify.
//!
//! An event belongs to the transaction of its change. Streams and other instances are notified
//! after the commit, and only then.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::append::shared::{CommitSharing, SharedAppend};
use super::append::{Appended, EventBatch, append};
use super::event::{Event, NewEvent};
use crate::platform::traces::{Attribute, OpenSpan, SpanKind, Tracer};
use crate::platform::{BrokerId, Dice, Transaction};

mod notifier;

pub use notifier::{CommitNotifier, CommitObserver, CommittedBatch, LogObserver};

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
        self.notifier.wake_loops();
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
                self.notifier.notify_peers(&batch);
            }
            self.notifier.notify(batch);
        }
    }
}
