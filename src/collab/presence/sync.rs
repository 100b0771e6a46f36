//! The keeper: writes this instance's signs to the table, and reads the others'.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::store::{self};
use super::{Join, Presence, PresenceParts};
use crate::log::PeerNotifier;
use crate::platform::DedicatedConnection;

mod exchange;

/// How often is looked for something to do.
const TICK: Duration = Duration::from_millis(125);
/// Changes that others would see are written this often, everything else more seldom.
const URGENT_WRITE: Duration = Duration::from_millis(250);
const WRITE: Duration = Duration::from_secs(1);
/// How often the others' signs are read without a hint, and with hints at the most.
const READ: Duration = Duration::from_secs(1);
const HINTED_READ: Duration = Duration::from_millis(50);
/// An instance that is silent for so long is gone, and its streams with it; sooner where a
/// heartbeat counts for less.
const LONGEST_LEASE: Duration = Duration::from_secs(10);
/// How often what has no say any more is removed from the table.
const SWEEP: Duration = Duration::from_secs(30);
/// Joins that one query answers.
const MOST_JOINS: usize = 1_024;

pub struct PresenceSyncParts {
    pub database: DedicatedConnection,
    pub instance: String,
    /// Woken when presence has changed elsewhere.
    pub heard: Arc<Notify>,
    /// Where the others are told that it has changed here.
    pub peer_notifier: PeerNotifier,
    /// Ends it, after a last write.
    pub stop: CancellationToken,
}

pub struct PresenceSync {
    parts: PresenceSyncParts,
    presence: Presence,
    joins: mpsc::Receiver<Join>,
    flush: i64,
    /// What was read of each other instance.
    seen: FxHashMap<Arc<str>, i64>,
    last: Last,
}

/// When things were last done.
struct Last {
    write: Instant,
    read: Instant,
    live: Option<Instant>,
    sweep: Instant,
}

impl PresenceSync {
    #[must_use]
    pub fn new(presence: PresenceParts, parts: PresenceSyncParts) -> (Presence, Self) {
        let (presence, joins) = Presence::new(presence);
        let now = Instant::now();
        let keeper = Self {
            parts,
            presence: presence.clone(),
            joins,
            flush: 0,
            seen: FxHashMap::default(),
            last: Last {
                write: now,
                read: now,
                live: None,
                sweep: now,
            },
        };
        (presence, keeper)
    }

    /// Keeps it until it is stopped.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, heard) = (self.parts.stop.clone(), Arc::clone(&self.parts.heard));
        let mut joins = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                1.. = self.joins.recv_many(&mut joins, MOST_JOINS) => {
                    let joins = std::mem::take(&mut joins);
                    let outcome = self.fill(joins).await;
                    report(outcome);
                }
                () = heard.notified(), if self.last.read.elapsed() >= HINTED_READ => {
                    let outcome = self.read().await;
                    report(outcome);
                }
                _ = ticks.tick() => {
                    let outcome = self.keep_up().await;
                    report(outcome);
                }
            }
        }
        self.say_goodbye().await;
    }

    /// How long this instance is taken to live after its last sign. A client that vanishes
    /// with its instance must not stay longer than one that just stops beating.
    fn lease(&self) -> Duration {
        LONGEST_LEASE.min(self.presence.rules().timeout)
    }

    /// Whatever is due in the database.
    async fn keep_up(&mut self) -> sqlx::Result<()> {
        if self
            .last
            .live
            .is_none_or(|at| at.elapsed() >= self.lease() / 3)
        {
            self.live().await?;
        }
        let (is_urgent, is_empty) = {
            let outbox = self.presence.outbox();
            (outbox.is_urgent, outbox.signs.is_empty())
        };
        let pause = if is_urgent { URGENT_WRITE } else { WRITE };
        if !is_empty && self.last.write.elapsed() >= pause {
            self.write().await?;
        }
        if self.last.read.elapsed() >= READ {
            self.read().await?;
        }
        if self.last.sweep.elapsed() >= SWEEP {
            self.last.sweep = Instant::now();
            let rules = self.presence.0.parts.rules;
            let long = rules.timeout + rules.grace + self.lease() + SWEEP;
            let forget = async |c: &mut PgConnection| store::forget(c, long).await;
            self.parts.database.run(forget).await?;
        }
        Ok(())
    }

    /// The last write: the streams of this instance are over, and their clients are on their
    /// way to another one.
    async fn say_goodbye(&mut self) {
        self.end_own_streams();
        let written = self.write().await;
        report(written);
    }
}

fn report(outcome: sqlx::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "presence is out of touch with the database; it tries again soon");
    }
}
