//! Synchronizes presence with the table: writes the signs of this instance, and reads those of the
//! others.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::timers::PresenceTimers;
use super::{PendingLoads, Presence, PresenceParts, store};
use crate::log::{PeerNotifier, PeerText};
use crate::platform::BackgroundTask;
use crate::platform::{DedicatedConnection, InstanceCount};

mod exchange;
mod heard;
mod messages;

use heard::{HeardFlushes, LastFlushes};

const TICK: Duration = Duration::from_millis(125);
/// The time between two writes, if one of the signs changes what others see.
const URGENT_WRITE: Duration = Duration::from_millis(250);
/// The time between two writes of other signs.
const WRITE: Duration = Duration::from_secs(1);
/// The time between two reads without a notice of another instance.
const READ: Duration = Duration::from_secs(1);
/// The time between two reads with such notices.
const NOTIFIED_READ: Duration = Duration::from_millis(50);
/// An instance whose lease has expired counts as dead, and its streams as closed. The lease is
/// shorter if a heartbeat lasts shorter.
const LONGEST_LEASE: Duration = Duration::from_secs(10);
/// The time between two deletions of old signs.
const DELETE_OLD: Duration = Duration::from_secs(30);

pub struct PresenceSyncParts {
    pub database: DedicatedConnection,
    pub instance: String,
    /// It learns from the leases how many there are.
    pub instances: InstanceCount,
    /// Notified when another instance has written.
    pub peer_changes: Arc<Notify>,
    /// Signs that other instances have sent.
    pub peer_signs: mpsc::Receiver<PeerText>,
    pub peer_notifier: PeerNotifier,
    /// Ends the task after a last write.
    pub stop: CancellationToken,
}

pub struct PresenceSync {
    parts: PresenceSyncParts,
    presence: Presence,
    loads: PendingLoads,
    /// The number of the last write.
    flush: i64,
    /// The least time between the last write and the next.
    pause: Duration,
    /// The number of the last write that was read, of each other instance.
    read_flushes: FxHashMap<Arc<str>, i64>,
    /// The last writes that were sent to the other instances.
    sent_flushes: LastFlushes,
    heard_flushes: HeardFlushes,
    last: LastRuns,
}

struct LastRuns {
    write: Instant,
    read: Instant,
    lease: Option<Instant>,
    delete_old: Instant,
}

impl Presence {
    /// The handle, and the tasks that exchange presence with the other instances, end what is over,
    /// and verify who may see the records that are in use.
    #[must_use]
    pub fn start(parts: PresenceParts, sync: PresenceSyncParts) -> (Self, [BackgroundTask; 3]) {
        let stop = sync.stop.clone();
        let (presence, sync) = PresenceSync::new(parts, sync);
        let timers = PresenceTimers::new(presence.clone());
        let verification = presence.clone().run_verification(stop.clone());
        let tasks = [
            BackgroundTask::new("the exchange of presence", sync.run()),
            BackgroundTask::new("the timers of presence", timers.run(stop)),
            BackgroundTask::new("the verification of presence", verification),
        ];
        (presence, tasks)
    }
}

impl PresenceSync {
    fn new(presence: PresenceParts, parts: PresenceSyncParts) -> (Presence, Self) {
        let (presence, loads) = Presence::new(presence, parts.stop.clone());
        let now = Instant::now();
        let sync = Self {
            parts,
            presence: presence.clone(),
            loads,
            flush: 0,
            pause: Duration::ZERO,
            read_flushes: FxHashMap::default(),
            sent_flushes: LastFlushes::default(),
            heard_flushes: HeardFlushes::default(),
            last: LastRuns {
                write: now,
                read: now,
                lease: None,
                delete_old: now,
            },
        };
        (presence, sync)
    }

    async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.parts.stop.clone();
        let changes = Arc::clone(&self.parts.peer_changes);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(loads) = self.loads.next() => {
                    let was_idle = self.is_idle();
                    let outcome = self.load(loads).await;
                    log_failure(outcome);
                    if was_idle {
                        ticks.reset();
                        self.presence.0.has_brokerages.notify_one();
                    }
                }
                Some(text) = self.parts.peer_signs.recv() => self.hear(&text),
                () = changes.notified(), if self.last.read.elapsed() >= NOTIFIED_READ => {
                    let outcome = self.read().await;
                    log_failure(outcome);
                }
                _ = ticks.tick() => {
                    let outcome = self.run_due().await;
                    log_failure(outcome);
                    if self.is_idle() {
                        ticks.reset_after(READ.min(self.lease() / 3));
                    }
                }
            }
        }
        self.shut_down().await;
    }

    /// Whether there is nothing to write: then only leases are renewed and read.
    fn is_idle(&self) -> bool {
        self.presence.brokerages().is_empty() && self.presence.outbox().is_empty()
    }

    /// A client that dies with its instance must not stay present longer than one whose heartbeats
    /// stop.
    fn lease(&self) -> Duration {
        LONGEST_LEASE.min(self.presence.rules().timeout)
    }

    async fn run_due(&mut self) -> sqlx::Result<()> {
        let renewed = self.last.lease;
        if renewed.is_none_or(|at| at.elapsed() >= self.lease() / 3) {
            self.renew_lease().await?;
        }
        let (is_urgent, is_empty) = {
            let outbox = self.presence.outbox();
            (outbox.is_urgent, outbox.is_empty())
        };
        let pause = if is_urgent { URGENT_WRITE } else { WRITE };
        if !is_empty && self.last.write.elapsed() >= pause.max(self.pause) {
            self.write().await?;
        }
        if self.last.read.elapsed() >= READ {
            self.read().await?;
        }
        if self.last.delete_old.elapsed() >= DELETE_OLD {
            self.last.delete_old = Instant::now();
            let rules = self.presence.rules();
            let age = rules.timeout + rules.grace + self.lease() + DELETE_OLD;
            let delete = async |c: &mut PgConnection| store::delete_old(c, age).await;
            self.parts.database.run(delete).await?;
        }
        Ok(())
    }

    /// Writes that the streams of this instance have ended, because their clients reconnect elsewhere,
    /// and then that the instance has.
    async fn shut_down(&mut self) {
        self.end_own_streams();
        let ended = match self.write_all().await {
            Ok(()) => self.end_lease().await,
            failed @ Err(_) => failed,
        };
        log_failure(ended);
    }
}

fn log_failure(outcome: sqlx::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "presence could not be exchanged with the database; it will be tried again");
    }
}
