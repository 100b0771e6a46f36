//! Signals: short-lived activity of a user, such as typing. A signal is published at once, ends by
//! itself, reaches streams of all instances, and is never logged.
//!
//! Every instance keeps a table of all active signals: those that it received from clients and
//! those that the other instances received. So a signal ends everywhere, even if the instance that
//! received it is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::fanout::{EphemeralEvent, Fanout};
use crate::identity::Caller;
use crate::log::{Audience, RecordAudience};
use crate::log::{PeerNotifier, PeerText};
use crate::platform::BackgroundTask;
use crate::platform::Clock;
use crate::platform::Metrics;
use crate::platform::{BrokerId, RecordPath, SessionName};

pub mod active_signal;
pub mod active_signals;
pub mod events;
pub mod name;
pub mod peer_signal;

pub use active_signal::SIGNAL_TTL;
pub use active_signals::{About, SignalError};
pub use name::{SignalAction, SignalName, SignalNames};

use active_signal::{SignalDetails, SignalOrigin, SignalStart};
use active_signals::{ActiveSignals, SignalKey, SignalRecord, SignalUpdate};
use peer_signal::{PeerUpdate, ReceivedSignal};

/// The precision of ends and of delayed renewals.
const TICK: Duration = Duration::from_millis(25);
/// Signals that are processed before other tasks get a turn.
const MOST_PER_TURN: usize = 500;

#[derive(Clone, Debug)]
pub struct Signal {
    pub name: SignalName,
    pub action: SignalAction,
    pub about: About,
    /// The device or tab that sends it.
    pub session: Option<SessionName>,
    pub audiences: Arc<[Audience]>,
}

#[derive(Debug)]
pub struct SignalParts {
    pub fanout: Arc<Fanout>,
    pub peer_notifier: PeerNotifier,
    /// The clock of the events.
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

#[derive(Clone, Debug)]
pub struct Signals(Arc<SignalsShared>);

#[derive(Debug)]
struct SignalsShared {
    parts: SignalParts,
    active: Mutex<ActiveSignals>,
    /// Notified when the table is not empty any more.
    has_signals: Notify,
}

impl Signals {
    /// The handle, and the task that ends signals and applies those of other instances.
    #[must_use]
    pub fn start(
        parts: SignalParts,
        received: mpsc::Receiver<String>,
        stop: CancellationToken,
    ) -> (Self, BackgroundTask) {
        let signals = Self::new(parts);
        let task = BackgroundTask::new("signals", signals.clone().run(received, stop));
        (signals, task)
    }

    fn new(parts: SignalParts) -> Self {
        let (active, has_signals) = (Mutex::default(), Notify::new());
        Self(Arc::new(SignalsShared {
            parts,
            active,
            has_signals,
        }))
    }

    /// Starts, renews or stops a signal, and returns how long it lasts.
    pub fn send(&self, caller: &Caller, signal: Signal) -> Result<Duration, SignalError> {
        let key = SignalKey {
            broker: caller.broker.clone(),
            user: caller.user.clone(),
            about: signal.about,
            name: signal.name,
        };
        let (session, audiences) = (signal.session, signal.audiences);
        let mut active = self.active();
        if active.is_empty() {
            self.0.has_signals.notify_one();
        }
        let now = Instant::now();
        let (updates, ends_in) = match signal.action {
            SignalAction::Start => {
                let start = SignalStart {
                    details: SignalDetails { session, audiences },
                    at: now,
                    origin: SignalOrigin::Here,
                };
                (active.start(now, key, start)?, SIGNAL_TTL)
            }
            SignalAction::Stop => {
                let updates = active.stop(now, key, session, SignalOrigin::Here);
                (updates, Duration::ZERO)
            }
        };
        self.publish(&active, &updates);
        drop(active);
        self.0.parts.metrics.signals.inc();
        Ok(ends_in)
    }

    /// Ends signals, and receives those of the other instances.
    async fn run(self, mut received: mpsc::Receiver<String>, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Most of the time no signal is active, and the timer need not run.
                () = self.0.has_signals.notified(), if self.active().is_empty() => {}
                _ = ticks.tick(), if !self.active().is_empty() => while !self.publish_due() {
                    tokio::task::yield_now().await;
                },
                Some(text) = received.recv() => self.receive(&text),
            }
        }
    }

    /// Publishes some of what is due, and returns whether that was all.
    fn publish_due(&self) -> bool {
        let mut active = self.active();
        let due = active.due_updates(Instant::now(), MOST_PER_TURN);
        self.publish(&active, &due.updates);
        due.is_all
    }

    /// Applies new audiences of a brokerage's records.
    pub fn update_audiences(
        &self,
        broker: &BrokerId,
        shown: &FxHashMap<RecordPath, RecordAudience>,
    ) {
        let (mut active, now) = (self.active(), Instant::now());
        if active.is_empty() {
            return;
        }
        for (record, shown) in shown {
            let record = SignalRecord {
                broker: broker.clone(),
                record: record.clone(),
            };
            let updates = active.update_audience(now, record, shown);
            self.publish(&active, &updates);
        }
    }

    /// This instance may have missed new audiences of a brokerage's records, or of all records.
    pub fn forget_audiences(&self, broker: Option<&BrokerId>) {
        self.active().forget_audiences(broker);
    }

    fn receive(&self, text: &str) {
        let now = Instant::now();
        let Some(ReceivedSignal { key, update }) = peer_signal::decode(text, now) else {
            tracing::debug!(text, "a signal of another instance could not be read");
            return;
        };
        let mut active = self.active();
        let updates = match update {
            PeerUpdate::Start(start) => active.start(now, key, start),
            PeerUpdate::Stop(session) => Ok(active.stop(now, key, session, SignalOrigin::Peer)),
        };
        match updates {
            Ok(updates) => self.publish(&active, &updates),
            Err(error) => {
                self.0.parts.metrics.signals_dropped.inc();
                tracing::debug!(%error, "a signal of another instance was dropped");
            }
        }
    }

    /// Publishes to the streams of this instance and to the other instances. The table must be
    /// locked, so that everybody gets the updates in the same order.
    fn publish(&self, _locked: &MutexGuard<'_, ActiveSignals>, updates: &[SignalUpdate]) {
        let parts = &self.0.parts;
        for update in updates {
            let audiences = &update.change.details.audiences;
            let log = parts.fanout.get(&update.key.broker);
            if let Some(log) = log.filter(|_| !audiences.is_empty()) {
                let event = events::event(update, parts.clock.now());
                let ephemeral = EphemeralEvent::of(&event, audiences);
                parts.fanout.publish_ephemeral(&log, ephemeral);
            }
            if update.change.for_peers && !parts.peer_notifier.signal(for_peers_of(update)) {
                parts.metrics.signals_dropped.inc();
            }
        }
    }

    fn active(&self) -> MutexGuard<'_, ActiveSignals> {
        let active = self.0.active.lock();
        active.unwrap_or_else(PoisonError::into_inner)
    }
}

fn for_peers_of(update: &SignalUpdate) -> PeerText {
    PeerText {
        broker: update.key.broker.clone(),
        text: peer_signal::encode(update),
    }
}
