//! The follower: reads on in the logs of the brokers that have streams here.
//!
//! One task per instance and the only writer of the hub. What this instance committed
//! comes to it whole; for everything else it is told to look, or looks by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::fanout::{BrokerageFanout, BrokerageHandle, Contact, Fanout, Frame};
use crate::log::Event;
use crate::log::{ChangeHints, Changes, CommittedBatch, LogObserver};
use crate::log::{Head, heads, read};
use crate::platform::BrokerId;
use crate::platform::Dice;
use crate::platform::Metrics;
use crate::platform::{DedicatedConnection, Pool};

/// Brokers that may wait to be taken into memory.
const WAITING_JOINS: usize = 16_384;
/// Batches and joins that one turn takes.
const TURN: usize = 1_024;
/// Events that one query reads of one log.
const READ_EVENTS: i64 = 500;
/// A log that is further behind is not read through: its streams read the table.
const MOST_BEHIND: i64 = 2_000;
/// How often logs without streams are looked for, to let them go.
const IDLE_SWEEP: Duration = Duration::from_secs(30);
/// How long a stream waits for its broker's log.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

struct Join {
    broker: BrokerId,
    answer: oneshot::Sender<BrokerageHandle>,
}

/// The log of a broker cannot be had now.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be read at the moment")]
pub struct LogUnavailable;

/// Where streams join a broker's log.
#[derive(Clone, Debug)]
pub struct LogHandle {
    fanout: Arc<Fanout>,
    joins: mpsc::Sender<Join>,
    contact: Arc<Contact>,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Join({})", self.broker)
    }
}

impl LogHandle {
    /// The broker's log in memory. A query only for the first stream of a broker. Nobody may
    /// join while the log cannot be followed.
    pub async fn join(&self, broker: &BrokerId) -> Result<BrokerageHandle, LogUnavailable> {
        if self.contact.is_lost() {
            return Err(LogUnavailable);
        }
        if let Some(handle) = self.fanout.visit(broker) {
            return Ok(handle);
        }
        let (answer, answered) = oneshot::channel();
        let join = Join {
            broker: broker.clone(),
            answer,
        };
        self.joins.try_send(join).map_err(|_| LogUnavailable)?;
        match tokio::time::timeout(JOIN_TIMEOUT, answered).await {
            Ok(Ok(handle)) => Ok(handle),
            _ => Err(LogUnavailable),
        }
    }

    /// Whether the follower sees the database.
    #[must_use]
    pub fn contact(&self) -> &Arc<Contact> {
        &self.contact
    }
}

#[derive(Debug)]
pub struct FollowerParts {
    pub database: DedicatedConnection,
    pub fanout: Arc<Fanout>,
    pub committed: mpsc::Receiver<CommittedBatch>,
    /// What others say they committed.
    pub hints: ChangeHints,
    /// Who is told what it reads, and what it does not.
    pub observer: Arc<dyn LogObserver>,
    /// How often it looks without a hint.
    pub poll: Duration,
    pub metrics: Arc<Metrics>,
    /// For epochs of new logs.
    pub dice: Dice,
    /// Is told when it sees the database.
    pub contact: Arc<Contact>,
    pub stop: CancellationToken,
}

#[derive(Debug)]
pub struct Follower {
    parts: FollowerParts,
    joins: mpsc::Receiver<Join>,
}

impl Follower {
    /// The follower, and the way to its logs.
    #[must_use]
    pub fn new(parts: FollowerParts) -> (LogHandle, Self) {
        let (joins, waiting) = mpsc::channel(WAITING_JOINS);
        let log_handle = LogHandle {
            fanout: Arc::clone(&parts.fanout),
            joins,
            contact: Arc::clone(&parts.contact),
        };
        (
            log_handle,
            Self {
                parts,
                joins: waiting,
            },
        )
    }

    /// Follows until it is stopped.
    pub async fn run(mut self) {
        let mut polls = tokio::time::interval(self.parts.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut batches, mut joins) = (Vec::new(), Vec::new());
        let (mut idle, mut swept) = (FxHashSet::default(), Instant::now());
        let stop = self.parts.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                1.. = self.parts.committed.recv_many(&mut batches, TURN) => {
                    self.take_over(std::mem::take(&mut batches)).await;
                }
                1.. = self.joins.recv_many(&mut joins, TURN) => {
                    let joins = std::mem::take(&mut joins);
                    self.admit(joins).await;
                }
                news = self.parts.hints.take() => {
                    if news.everywhere {
                        self.parts.observer.missed_any();
                    }
                    self.look(news).await;
                }
                _ = polls.tick() => {
                    self.look(Changes { everywhere: true, ..Changes::default() }).await;
                    if swept.elapsed() >= IDLE_SWEEP {
                        swept = Instant::now();
                        self.parts.fanout.forget_idle(&mut idle);
                    }
                }
            }
        }
    }

    /// Own commits: they go straight to the hub where they fit without a gap.
    async fn take_over(&mut self, batches: Vec<CommittedBatch>) {
        for batch in batches {
            let Some(log) = self.parts.fanout.visit(&batch.broker) else {
                continue;
            };
            let (known, is_same) = {
                let ring = log.ring();
                (ring.head(), *ring.epoch() == batch.epoch)
            };
            let first = batch.events.first().map_or(i64::MAX, |e| e.position);
            if is_same && first == known + 1 {
                self.publish(&log, &batch.events);
            } else if batch.head > known || !is_same {
                let outcome = self.catch_up(&log, batch.head).await;
                self.report(outcome);
            }
        }
    }

    /// Streams of brokers that are not in memory yet: one query for all of them.
    async fn admit(&mut self, joins: Vec<Join>) {
        let brokers: FxHashSet<_> = joins.iter().map(|join| join.broker.clone()).collect();
        let brokers: Vec<_> = brokers.into_iter().collect();
        let heads: HashMap<_, _> = match self.heads_of(&brokers).await {
            Ok(heads) => heads.into_iter().collect(),
            Err(error) => return self.report(Err(error)),
        };
        for join in joins {
            if let Some(head) = heads.get(&join.broker) {
                // Nobody may be waiting any more.
                let _ = join
                    .answer
                    .send(self.parts.fanout.admit(&join.broker, head));
            }
        }
        // What is before the head is not read here any more.
        for broker in heads.keys() {
            self.parts.observer.missed(broker);
        }
        self.report(Ok(()));
    }

    async fn heads_of(&mut self, brokers: &[BrokerId]) -> sqlx::Result<Vec<(BrokerId, Head)>> {
        let (database, dice) = (&mut self.parts.database, &self.parts.dice);
        database
            .run(async |connection| heads::ensure(connection, dice, brokers).await)
            .await
    }

    /// Follows hints; with `everywhere`, compares every head with the table's.
    async fn look(&mut self, news: Changes) {
        if news.everywhere {
            let outcome = self.look_everywhere().await;
            return self.report(outcome);
        }
        for (broker, head) in news.heads {
            let Some(log) = self.parts.fanout.visit(&broker) else {
                self.parts.observer.missed(&broker);
                continue;
            };
            let known = log.ring().head();
            if head > known {
                let outcome = self.catch_up(&log, head).await;
                self.report(outcome);
            }
        }
    }

    async fn look_everywhere(&mut self) -> sqlx::Result<()> {
        let active = self.parts.fanout.active();
        self.parts.metrics.follower_queries.inc();
        for (broker, head) in self.read_heads(&active).await? {
            let Some(log) = self.parts.fanout.visit(&broker) else {
                continue;
            };
            let (known, is_same) = {
                let ring = log.ring();
                (ring.head(), *ring.epoch() == head.epoch)
            };
            if !is_same || head.head < known || head.head - known > MOST_BEHIND {
                tracing::debug!(%broker, known, head = head.head, "going on at another place");
                self.parts.fanout.jump(&log, &head);
                self.parts.observer.missed(&broker);
            } else if head.head > known {
                self.catch_up(&log, head.head).await?;
            }
        }
        Ok(())
    }

    /// Reads a log on until `head` is in memory.
    async fn catch_up(&mut self, log: &BrokerageFanout, head: i64) -> sqlx::Result<()> {
        let mut known = log.ring().head();
        if head - known > MOST_BEHIND {
            return self.look_again(log).await;
        }
        while known < head {
            self.parts.metrics.follower_queries.inc();
            let next = async |connection: &mut PgConnection| {
                read::after(connection, &log.id, known, READ_EVENTS).await
            };
            let events = self.parts.database.run(next).await?;
            // Not where it should continue: retention, or another log.
            if events.first().is_none_or(|e| e.position != known + 1) {
                return self.look_again(log).await;
            }
            self.publish(log, &events);
            self.parts.observer.saw(&log.id, &events);
            known = log.ring().head();
        }
        Ok(())
    }

    async fn look_again(&mut self, log: &BrokerageFanout) -> sqlx::Result<()> {
        let heads = self.read_heads(std::slice::from_ref(&log.id)).await?;
        if let Some((_, head)) = heads.first() {
            self.parts.fanout.jump(log, head);
            self.parts.observer.missed(&log.id);
        }
        Ok(())
    }

    async fn read_heads(&mut self, brokers: &[BrokerId]) -> sqlx::Result<Vec<(BrokerId, Head)>> {
        let heads = async |connection: &mut PgConnection| heads::read(connection, brokers).await;
        self.parts.database.run(heads).await
    }

    fn publish(&self, log: &BrokerageFanout, events: &[Event]) {
        let epoch = log.ring().epoch().clone();
        let frames = events
            .iter()
            .map(|event| Arc::new(Frame::of(event, &epoch)))
            .collect();
        self.parts.fanout.publish(log, frames);
    }

    fn report(&self, outcome: sqlx::Result<()>) {
        match outcome {
            Ok(()) => self.parts.contact.seen(),
            Err(error) => {
                self.parts.metrics.follower_failures.inc();
                tracing::warn!(%error, "the follower could not read; it looks again soon");
            }
        }
    }
}

/// Where one log stands in memory and in the table: for a cursor that seems too new.
pub async fn head_in_table(pool: &Pool, broker: &BrokerId) -> sqlx::Result<Option<Head>> {
    let mut connection = pool.acquire().await?;
    let heads = heads::read(&mut connection, std::slice::from_ref(broker)).await?;
    Ok(heads.into_iter().next().map(|(_, head)| head))
}
