//! The follower reads the logs of the brokerages that have streams on this instance.
//!
//! It is one task per instance and the only writer of the rings. It receives the events that this
//! instance commits, and those of other instances if the backplane carries them. It reads all others from
//! the table, after a hint or a poll.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::fanout::{BrokerageFanout, BrokerageHandle, Fanout, Frame, LogHealth};
use crate::log::Event;
use crate::log::{ChangeHints, CommittedBatch, LogObserver};
use crate::log::{Head, heads, origin, read};
use crate::platform::BackgroundTask;
use crate::platform::{BatchLimits, Batcher, Batches, Pending};
use crate::platform::{BrokerId, Clock, DedicatedConnection, Dice, InstanceCount, Limit, Metrics};
use crate::platform::{Pool, Tracer};

mod batches;
mod held;
mod hints;
mod own_commits;
mod traces;

use held::HeldBatches;
use hints::hints_from;
use own_commits::OwnCommits;

/// Committed batches that the follower takes at once.
const MOST_BATCHES: usize = 1_024;
/// The first streams of brokerages wait for the brokerage to be in memory.
const JOINS: BatchLimits = BatchLimits {
    name: "joins",
    queue: 16_384,
    batch: 1_024,
    interval: Duration::ZERO,
    spaces_single_requests: true,
    answer_timeout: Duration::from_secs(5),
};
/// The time between two reads after hints, of all instances together.
const READ_TOGETHER: Duration = Duration::from_millis(5);
/// A hint waits for the next commit of this instance until then after the last one: as long as reads are apart, and this
/// long for a commit that is late.
const LATE_COMMIT: Duration = Duration::from_millis(10);
/// Events that one query reads.
const READ_EVENTS: i64 = 500;
/// When the ring is further behind the table, the follower skips the events, and streams read them
/// from the table.
const MOST_BEHIND: i64 = 2_000;
/// How often brokerages without streams are removed from memory.
const IDLE_SWEEP: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
#[error("the log cannot be read at the moment")]
pub struct LogUnavailable;

/// Streams get their brokerage's log through this.
#[derive(Clone, Debug)]
pub struct LogHandle {
    fanout: Arc<Fanout>,
    joins: Batcher<BrokerId, BrokerageHandle>,
    health: Arc<LogHealth>,
}

impl LogHandle {
    /// The brokerage in memory. Only the first stream of a brokerage costs a query. While the
    /// database cannot be reached, all streams are refused.
    pub async fn join(&self, broker: &BrokerId) -> Result<BrokerageHandle, LogUnavailable> {
        if self.health.is_unavailable() {
            return Err(LogUnavailable);
        }
        if let Some(handle) = self.fanout.get(broker) {
            return Ok(handle);
        }
        let handle = self.joins.ask(broker.clone()).await;
        handle.map_err(|_| LogUnavailable)
    }

    #[must_use]
    pub fn health(&self) -> &Arc<LogHealth> {
        &self.health
    }
}

#[derive(Debug)]
pub struct FollowerParts {
    pub database: DedicatedConnection,
    pub fanout: Arc<Fanout>,
    pub committed: mpsc::Receiver<CommittedBatch>,
    /// Commits of other instances.
    pub received: mpsc::Receiver<CommittedBatch>,
    /// Whether other instances send their commits. Then a batch waits a moment for those in front of it.
    pub waits_for_peers: bool,
    /// Commits of other instances, and of this one when `committed` was full.
    pub hints: ChangeHints,
    pub observer: Arc<dyn LogObserver>,
    pub instances: InstanceCount,
    /// How often it compares all heads with the table.
    pub poll: Duration,
    pub metrics: Arc<Metrics>,
    /// For epochs of new logs.
    pub dice: Dice,
    /// Tells how old the events of other instances are.
    pub clock: Clock,
    pub health: Arc<LogHealth>,
    pub tracer: Tracer,
    pub stop: CancellationToken,
}

#[derive(Debug)]
pub struct Follower {
    parts: FollowerParts,
    joins: Batches<BrokerId, BrokerageHandle>,
    held: HeldBatches,
    own_commits: OwnCommits,
    /// When it reads after the next hint.
    read_at: Instant,
}

impl Follower {
    /// The handle, and the background task.
    #[must_use]
    pub fn start(parts: FollowerParts) -> (LogHandle, BackgroundTask) {
        let (handle, joins) = Batcher::new(JOINS, &parts.metrics.queues, parts.stop.clone());
        let log_handle = LogHandle {
            fanout: Arc::clone(&parts.fanout),
            joins: handle,
            health: Arc::clone(&parts.health),
        };
        let follower = Self {
            parts,
            joins,
            held: HeldBatches::default(),
            own_commits: OwnCommits::default(),
            read_at: Instant::now(),
        };
        (
            log_handle,
            BackgroundTask::new("the follower", follower.run()),
        )
    }

    /// Follows until it is stopped.
    async fn run(mut self) {
        let mut polls = tokio::time::interval(self.parts.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut batches, mut received) = (Vec::new(), Vec::new());
        let (mut idle, mut swept) = (FxHashSet::default(), Instant::now());
        let stop = self.parts.stop.clone();
        loop {
            let late_at = self.late_at();
            tokio::select! {
                () = stop.cancelled() => return,
                1.. = self.parts.committed.recv_many(&mut batches, MOST_BATCHES) => {
                    self.publish_batches(std::mem::take(&mut batches)).await;
                }
                1.. = self.parts.received.recv_many(&mut received, MOST_BATCHES) => {
                    self.publish_batches(std::mem::take(&mut received)).await;
                }
                () = until(self.held.due_at()), if !self.held.is_empty() => self.read_missing().await,
                Some(joins) = self.joins.next() => self.admit(joins).await,
                changes = hints_from(&self.parts.hints, self.read_at) => {
                    self.read_changes(changes).await;
                }
                () = until(late_at) => self.read_late_hints().await,
                _ = polls.tick() => {
                    self.poll().await;
                    self.read_late_hints().await;
                    if swept.elapsed() >= IDLE_SWEEP {
                        swept = Instant::now();
                        self.parts.fanout.forget_idle(&mut idle);
                    }
                }
            }
        }
    }

    /// Takes brokerages into memory, with one query for all of them.
    async fn admit(&mut self, joins: Vec<Pending<BrokerId, BrokerageHandle>>) {
        let brokers: FxHashSet<_> = joins.iter().map(|join| join.request.clone()).collect();
        let brokers: Vec<_> = brokers.into_iter().collect();
        let heads: HashMap<_, _> = match self.heads_of(&brokers).await {
            Ok(heads) => heads.into_iter().collect(),
            Err(error) => return self.report(Err(error)),
        };
        for join in joins {
            if let Some(head) = heads.get(&join.request) {
                let handle = self.parts.fanout.insert(&join.request, head);
                join.answer(handle);
            }
        }
        // The follower does not read events before the head.
        for broker in heads.keys() {
            self.parts.observer.missed(broker);
        }
        self.report(Ok(()));
    }

    async fn heads_of(&mut self, brokers: &[BrokerId]) -> sqlx::Result<Vec<(BrokerId, Head)>> {
        let known = self.read_heads(brokers).await?;
        if known.len() == brokers.len() {
            return Ok(known);
        }
        let (database, dice) = (&mut self.parts.database, &self.parts.dice);
        database
            .run(async |connection| heads::ensure(connection, dice, brokers).await)
            .await
    }

    /// Without streams, it only finds out whether the database is there.
    async fn poll(&mut self) {
        let active = self.parts.fanout.active();
        if !active.is_empty() || !self.parts.health.is_fresh() {
            let outcome = self.compare_heads(&active).await;
            self.report(outcome);
        }
    }

    async fn compare_all_heads(&mut self) -> sqlx::Result<()> {
        let active = self.parts.fanout.active();
        self.compare_heads(&active).await
    }

    async fn compare_heads(&mut self, brokers: &[BrokerId]) -> sqlx::Result<()> {
        self.parts.metrics.follower_queries.inc();
        let mut heads = self.read_heads(brokers).await?;
        if self.renew_shorter_log(&heads).await? {
            heads = self.read_heads(brokers).await?;
        }
        for (broker, head) in heads {
            let Some(log) = self.parts.fanout.get(&broker) else {
                continue;
            };
            let (known, is_same) = {
                let ring = log.ring();
                (ring.head(), *ring.epoch() == head.epoch)
            };
            if !is_same || head.position < known || head.position - known > MOST_BEHIND {
                tracing::debug!(%broker, known, head = head.position, "the ring jumps to another head");
                self.parts.fanout.jump(&log, &head);
                self.parts.observer.missed(&broker);
            } else if head.position > known {
                self.catch_up(&log, head.position).await?;
            }
        }
        Ok(())
    }

    /// Reads a log up to `head`.
    async fn catch_up(&mut self, log: &BrokerageFanout, head: i64) -> sqlx::Result<()> {
        let (epoch, mut known) = {
            let ring = log.ring();
            (ring.epoch().clone(), ring.head())
        };
        if head - known > MOST_BEHIND {
            return self.jump_to_head(log).await;
        }
        while known < head {
            self.parts.metrics.follower_queries.inc();
            let next = async |connection: &mut PgConnection| {
                read::after(connection, &log.id, &epoch, known, READ_EVENTS).await
            };
            let events = self.parts.database.run(next).await?;
            // There is a gap: retention has removed events, or the log has another epoch.
            if events.first().is_none_or(|e| e.position != known + 1) {
                return self.jump_to_head(log).await;
            }
            self.publish_read(log, &events);
            self.parts.observer.saw(&log.id, &events);
            known = log.ring().head();
        }
        Ok(())
    }

    async fn jump_to_head(&mut self, log: &BrokerageFanout) -> sqlx::Result<()> {
        let heads = self.read_heads(std::slice::from_ref(&log.id)).await?;
        if let Some((_, head)) = heads.first() {
            self.parts.fanout.jump(log, head);
            self.parts.observer.missed(&log.id);
        }
        Ok(())
    }

    /// The heads in the table. If the database is a copy by now, their epochs are renewed before.
    async fn read_heads(&mut self, brokers: &[BrokerId]) -> sqlx::Result<Vec<(BrokerId, Head)>> {
        let follow = async |connection: &mut PgConnection| heads::follow(connection, brokers).await;
        let mut heads = self.parts.database.run(follow).await?;
        if heads.is_copy {
            let renew = async |connection: &mut PgConnection| {
                origin::renew_epochs_of_copy(connection).await
            };
            let database = &mut self.parts.database;
            database.run_within(Limit::REQUEST, renew).await?;
            heads = self.parts.database.run(follow).await?;
        }
        Ok(heads.logs)
    }

    /// Renews the epochs if a log has lost events that this instance has seen. Returns whether there is one.
    async fn renew_shorter_log(&mut self, heads: &[(BrokerId, Head)]) -> sqlx::Result<bool> {
        let shorter = heads.iter().find_map(|(broker, head)| {
            let log = self.parts.fanout.get(broker)?;
            let ring = log.ring();
            let is_shorter = *ring.epoch() == head.epoch && head.position < ring.head();
            is_shorter.then(|| (broker, &head.epoch, ring.head()))
        });
        let Some((broker, epoch, seen)) = shorter else {
            return Ok(false);
        };
        let renew = async |connection: &mut PgConnection| {
            origin::renew_epochs_of_shorter_log(connection, broker, epoch, seen).await
        };
        let database = &mut self.parts.database;
        database.run_within(Limit::REQUEST, renew).await?;
        Ok(true)
    }

    /// Publishes events that were read from the table. Their times are those of the database's clock.
    fn publish_read(&self, log: &BrokerageFanout, events: &[Event]) {
        let (now, time) = (Instant::now(), self.parts.clock.now());
        let age = |event: &Event| Duration::try_from(time - event.created_at).unwrap_or_default();
        let oldest = events.iter().map(age).max();
        self.parts.health.record_lag(oldest.unwrap_or_default());
        self.publish(log, events, |event| {
            now.checked_sub(age(event)).unwrap_or(now)
        });
    }

    fn publish(
        &self,
        log: &BrokerageFanout,
        events: &[Event],
        committed_at: impl Fn(&Event) -> Instant,
    ) {
        let (epoch, late) = {
            let ring = log.ring();
            (ring.epoch().clone(), ring.late_bytes().clone())
        };
        let trace = self.fan_out_trace(events);
        let frames = events.iter().map(|event| {
            let frame = Frame::of(event, &epoch).counted_by(&late);
            let delivery = trace.as_ref().and_then(|trace| trace.delivery(event));
            Arc::new(frame.committed_at(committed_at(event)).counting(delivery))
        });
        self.parts.fanout.publish(log, frames.collect());
        if let Some(trace) = trace {
            trace.end();
        }
    }

    fn report(&self, outcome: sqlx::Result<()>) {
        match outcome {
            Ok(()) => self.parts.health.record_success(),
            Err(error) => {
                self.parts.metrics.follower_failures.inc();
                tracing::warn!(%error, "the follower could not read the log and tries again");
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// A log's head in the table, which may be newer than the ring's.
pub async fn head_in_table(pool: &Pool, broker: &BrokerId) -> sqlx::Result<Option<Head>> {
    let mut connection = pool.acquire().await?;
    let heads = heads::read(&mut connection, std::slice::from_ref(broker)).await?;
    Ok(heads.into_iter().next().map(|(_, head)| head))
}
