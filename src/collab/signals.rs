//! Signals: what a user is just doing, for whoever is looking. They are told at once, end
//! by themselves, reach the streams of all instances, and are never logged.
//!
//! Every instance keeps the same table of what goes on: from what is said to it, and from
//! what the others say. So a signal ends everywhere, whatever has become of the instance
//! it was said to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::fanout::{EphemeralEvent, Fanout};
use crate::identity::Caller;
use crate::log::PeerNotifier;
use crate::log::{Audience, Shown};
use crate::platform::Clock;
use crate::platform::Metrics;
use crate::platform::{BrokerId, RecordPath, SessionName};

pub mod active_signal;
pub mod active_signals;
pub mod events;
pub mod name;
pub mod peer_signal;

pub use active_signal::LASTS;
pub use active_signals::{About, SignalError};
pub use name::{SignalName, SignalNames, Word};

use active_signal::{Said, SignalOrigin, SignalStart};
use active_signals::{ActiveSignals, SignalKey, SignalUpdate};
use peer_signal::PeerUpdate;

/// How often ends, and what was held back, are looked for.
const TICK: Duration = Duration::from_millis(25);
/// Signals that are looked at before others get a turn.
const MOST_A_TICK: usize = 500;

#[derive(Clone, Debug)]
pub struct Signal {
    pub name: SignalName,
    /// Whether it goes on or is over.
    pub word: Word,
    pub about: About,
    /// The device or tab it comes from.
    pub session: Option<SessionName>,
    pub topics: Arc<[Audience]>,
}

#[derive(Debug)]
pub struct SignalParts {
    /// Whose streams are told.
    pub fanout: Arc<Fanout>,
    /// Where the other instances are told.
    pub elsewhere: PeerNotifier,
    /// The time that events carry.
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

/// All signals that go on.
#[derive(Clone, Debug)]
pub struct Signals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: SignalParts,
    active: Mutex<ActiveSignals>,
    awake: Notify,
}

impl Signals {
    #[must_use]
    pub fn new(parts: SignalParts) -> Self {
        let (active, awake) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared {
            parts,
            active,
            awake,
        }))
    }

    /// Takes what a caller says; gives when it ends by itself.
    pub fn send(&self, caller: &Caller, signal: Signal) -> Result<Duration, SignalError> {
        let key = SignalKey {
            broker: caller.broker.clone(),
            user: caller.user.clone(),
            about: signal.about,
            name: signal.name,
        };
        let (session, topics) = (signal.session, signal.topics);
        let mut active = self.active();
        if active.is_empty() {
            self.0.awake.notify_one();
        }
        let now = Instant::now();
        let (tellings, ends_in) = match signal.word {
            Word::Goes => {
                let start = SignalStart {
                    said: Said { session, topics },
                    at: now,
                    place: SignalOrigin::Here,
                };
                (active.start(now, key, start)?, LASTS)
            }
            Word::Stopped => (
                active.stop(now, key, (session, SignalOrigin::Here)),
                Duration::ZERO,
            ),
        };
        self.tell(&active, &tellings);
        drop(active);
        self.0.parts.metrics.signals.inc();
        Ok(ends_in)
    }

    /// Ends what is over, and passes on what the other instances say.
    pub async fn run(self, mut heard: mpsc::Receiver<String>, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Nothing goes on most of the time.
                () = self.0.awake.notified(), if self.active().is_empty() => {}
                _ = ticks.tick(), if !self.active().is_empty() => while !self.tick() {
                    tokio::task::yield_now().await;
                },
                Some(line) = heard.recv() => self.hear(&line),
            }
        }
    }

    /// Tells what is due; whether that was all.
    fn tick(&self) -> bool {
        let mut active = self.active();
        let (tellings, was_all) = active.tick(Instant::now(), MOST_A_TICK);
        self.tell(&active, &tellings);
        was_all
    }

    /// These records of a broker are shown like this from now on.
    pub fn show(&self, broker: &BrokerId, shown: &FxHashMap<RecordPath, Shown>) {
        let (mut active, now) = (self.active(), Instant::now());
        if active.is_empty() {
            return;
        }
        for (record, shown) in shown {
            let record = (broker.clone(), record.clone());
            let tellings = active.show(now, record, shown);
            self.tell(&active, &tellings);
        }
    }

    /// Who sees the records of a broker, or of all of them, may have changed unheard.
    pub fn missed(&self, broker: Option<&BrokerId>) {
        self.active().forget_shown(broker);
    }

    fn hear(&self, line: &str) {
        let now = Instant::now();
        let Some((key, heard)) = peer_signal::heard(line, now) else {
            tracing::debug!(line, "another instance said something strange");
            return;
        };
        let mut active = self.active();
        let tellings = match heard {
            PeerUpdate::SignalStart(start) => active.start(now, key, start),
            PeerUpdate::Stop(session) => {
                Ok(active.stop(now, key, (session, SignalOrigin::Elsewhere)))
            }
        };
        match tellings {
            Ok(tellings) => self.tell(&active, &tellings),
            Err(error) => {
                self.0.parts.metrics.signals_dropped.inc();
                tracing::debug!(%error, "a signal of another instance was dropped");
            }
        }
    }

    /// Tells the streams here and the other instances. The table stays locked meanwhile, so
    /// that everybody is told in the order in which things happened.
    fn tell(&self, _in_order: &MutexGuard<'_, ActiveSignals>, tellings: &[SignalUpdate]) {
        let parts = &self.0.parts;
        for pending in tellings {
            let topics = &pending.change.said.topics;
            let log = parts.fanout.visit(&pending.key.broker);
            if let Some(log) = log.filter(|_| !topics.is_empty()) {
                let event = events::event(pending, parts.clock.now());
                parts
                    .fanout
                    .publish_ephemeral(&log, EphemeralEvent::of(&event, topics));
            }
            if pending.change.is_spoken && !parts.elsewhere.signal(peer_signal::spoken(pending)) {
                parts.metrics.signals_dropped.inc();
            }
        }
    }

    fn active(&self) -> MutexGuard<'_, ActiveSignals> {
        let active = self.0.active.lock();
        active.unwrap_or_else(PoisonError::into_inner)
    }
}
