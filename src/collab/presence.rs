//! Presence: who is online or away, and which record each of them has open.
//!
//! An open stream or a heartbeat is a sign of life, and reaches some instance. The instance writes
//! it to the table with others. Every instance reads all signs and computes the same state from
//! them: a person is present while any sign lasts, and for a grace period after it. So a person who
//! reconnects does not appear to leave, and when an instance dies, its streams count until its lease
//! ends. Presence is not logged. A stream gets a snapshot, and then the changes as ephemeral events.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::directory::Modules;
use crate::directory::{RecordAudiences, RecordError};
use crate::fanout::{BrokerageFanout, EphemeralEvent, Fanout};
use crate::identity::{TokenError, Verifier};
use crate::log::Audience;
use crate::platform::Clock;
use crate::platform::Metrics;
use crate::platform::{BatchLimits, Batcher, Batches, Pending};
use crate::platform::{BrokerId, SessionName, UserId};

mod crowds;
pub mod events;
pub mod group;
pub mod heartbeat;
mod left_teams;
pub mod moment;
mod outbox;
pub mod person;
pub mod record_moves;
pub mod sign_of_life;
mod snapshot;
mod staleness;
pub mod store;
mod streams;
pub mod sync;
pub mod timers;
pub mod view;

pub use heartbeat::Heartbeat;
pub use person::PresenceRules;
pub use sign_of_life::Status;
pub use snapshot::PresenceSnapshot;
pub use streams::{PresenceGuard, StreamEvictor};
pub use sync::PresenceSync;
pub use timers::PresenceTimers;
pub use view::{PresenceList, View};

use group::{Now, PresenceGroup};
use moment::{Moment, Stopwatch};
use outbox::Outbox;
use person::PeerLiveness;
use sign_of_life::{Session, SignOfLife, SignOrigin, SignSource};
use store::PresenceKey;

/// Requests for brokerages whose presence is not in memory yet.
const LOAD_LIMITS: BatchLimits = BatchLimits {
    name: "presence_loads",
    queue: 16_384,
    batch: 1_024,
    interval: Duration::ZERO,
    spaces_single_requests: true,
    answer_timeout: Duration::from_secs(5),
};
/// Sessions that are known of one user.
const MOST_SESSIONS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The database did not answer.
    #[error("presence is not available at the moment")]
    Unavailable,
    #[error("you have no session {0}")]
    UnknownSession(SessionName),
    #[error("you have {MOST_SESSIONS} sessions already")]
    TooManySessions,
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The token was revoked meanwhile.
    #[error(transparent)]
    Token(#[from] TokenError),
}

#[derive(Debug)]
struct BrokeragePresence {
    broker: BrokerId,
    group: Mutex<PresenceGroup>,
    /// In milliseconds since the start of the instance.
    used_at: AtomicI64,
    /// Events for large crowds that woke no stream yet.
    silent_events: AtomicU64,
    /// The audiences of events that were not released yet.
    changed: Mutex<FxHashSet<Audience>>,
    /// The next release is not before this, in milliseconds since the start of the instance.
    release_at: AtomicI64,
}

impl BrokeragePresence {
    fn lock(&self) -> LockedGroup<'_> {
        let group = locked(&self.group);
        LockedGroup {
            brokerage: self,
            group,
        }
    }

    /// Adds an event. The timers release it together with others, so that a stream gets all changes of
    /// a tenth of a second in one write.
    fn publish(&self, log: &BrokerageFanout, event: EphemeralEvent) {
        if event.wakes() {
            locked(&self.changed).extend(event.audiences().cloned());
        } else {
            self.silent_events.fetch_add(1, Ordering::Relaxed);
        }
        log.add_ephemeral(event);
    }
}

/// A brokerage's group while its mutex is locked. Never held across an await.
struct LockedGroup<'a> {
    brokerage: &'a BrokeragePresence,
    group: MutexGuard<'a, PresenceGroup>,
}

type PendingLoad = Pending<BrokerId, Arc<BrokeragePresence>>;
type PendingLoads = Batches<BrokerId, Arc<BrokeragePresence>>;

pub struct PresenceParts {
    pub fanout: Arc<Fanout>,
    pub modules: Modules,
    pub records: RecordAudiences,
    pub rules: PresenceRules,
    /// Of a larger crowd, streams get counts instead of each person.
    pub crowd_limit: usize,
    /// Streams that a user may have over all instances.
    pub most_streams_per_user: usize,
    pub evictor: Arc<dyn StreamEvictor>,
    pub verifier: Verifier,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

struct PresenceShared {
    parts: PresenceParts,
    stopwatch: Stopwatch,
    brokerages: Mutex<FxHashMap<BrokerId, Arc<BrokeragePresence>>>,
    /// Notified when the first brokerages are loaded.
    has_brokerages: Notify,
    peers: Mutex<Arc<PeerLiveness>>,
    outbox: Mutex<Outbox>,
    /// Brokerages of whose log this instance has missed events: the audiences of records in use may
    /// have changed.
    unverified: Mutex<FxHashSet<BrokerId>>,
    verify: Notify,
    loads: Batcher<BrokerId, Arc<BrokeragePresence>>,
    /// When the table was last read, in milliseconds since the start of the instance.
    read_at: AtomicI64,
}

#[derive(Clone)]
pub struct Presence(Arc<PresenceShared>);

impl Presence {
    fn new(parts: PresenceParts, stop: CancellationToken) -> (Self, PendingLoads) {
        let (loads, pending) = Batcher::new(LOAD_LIMITS, &parts.metrics.queues, stop);
        let shared = PresenceShared {
            parts,
            stopwatch: Stopwatch::start(),
            brokerages: Mutex::default(),
            has_brokerages: Notify::new(),
            peers: Mutex::default(),
            outbox: Mutex::default(),
            unverified: Mutex::default(),
            verify: Notify::new(),
            loads,
            read_at: AtomicI64::new(0),
        };
        (Self(Arc::new(shared)), pending)
    }

    #[must_use]
    pub fn rules(&self) -> PresenceRules {
        self.0.parts.rules
    }

    /// Whether a user is present at no instance.
    pub async fn is_offline(
        &self,
        broker: &BrokerId,
        user: &UserId,
    ) -> Result<bool, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        Ok(brokerage.lock().group.find(user).is_none())
    }

    /// Records a sign that this instance noticed: in the group, and in the outbox for the table.
    fn record(
        &self,
        locked: &mut LockedGroup<'_>,
        user: &UserId,
        session: Session,
        sign: SignOfLife,
    ) {
        let source = SignSource {
            session: session.clone(),
            origin: SignOrigin::Here,
        };
        let matters = locked.group.put(user, source, sign.clone());
        let has_changed = matters && self.evaluate(locked, user);
        let key = PresenceKey {
            broker: locked.brokerage.broker.clone(),
            user: user.clone(),
            session,
        };
        let mut outbox = self.outbox();
        outbox.put(key, sign);
        outbox.is_urgent |= has_changed;
    }

    /// Computes a person's state again, publishes what has changed, and returns whether it has.
    fn evaluate(&self, locked: &mut LockedGroup<'_>, user: &UserId) -> bool {
        let (now, peers) = (self.now(), self.peers());
        let Some(change) = locked.group.evaluate(user, now, &peers) else {
            return false;
        };
        let parts = &self.0.parts;
        parts.metrics.presence_changes.inc();
        let brokerage = locked.brokerage;
        if let Some(log) = parts.fanout.get(&brokerage.broker) {
            let events = events::ChangeEvents {
                group: &locked.group,
                change: &change,
                at: now.time,
                log: &log,
            };
            for event in events.all(&parts.modules) {
                brokerage.publish(&log, event);
            }
        }
        true
    }

    async fn brokerage(&self, broker: &BrokerId) -> Result<Arc<BrokeragePresence>, PresenceError> {
        if let Some(brokerage) = self.loaded(broker) {
            return Ok(brokerage);
        }
        let loaded = self.0.loads.ask(broker.clone()).await;
        loaded.map_err(|_| PresenceError::Unavailable)
    }

    fn loaded(&self, broker: &BrokerId) -> Option<Arc<BrokeragePresence>> {
        let brokerages = self.brokerages();
        let brokerage = brokerages.get(broker)?;
        brokerage.used_at.store(self.now_ms(), Ordering::Relaxed);
        Some(Arc::clone(brokerage))
    }

    fn now(&self) -> Now {
        Now {
            moment: self.0.stopwatch.now(),
            time: self.0.parts.clock.now(),
        }
    }

    fn now_ms(&self) -> i64 {
        self.now().moment.ms_after(Moment::at_ms(0))
    }

    fn all_brokerages(&self) -> Vec<Arc<BrokeragePresence>> {
        self.brokerages().values().cloned().collect()
    }

    fn evaluate_everybody(&self) {
        for brokerage in self.all_brokerages() {
            let mut locked = brokerage.lock();
            for user in locked.group.users() {
                self.evaluate(&mut locked, &user);
            }
        }
    }

    /// Until `moment`, no sign of another instance counts as ended.
    fn distrust_ends_until(&self, moment: Moment) {
        let mut peers = locked(&self.0.peers);
        if peers.trusted_from != moment {
            Arc::make_mut(&mut peers).trusted_from = moment;
        }
    }

    fn peers(&self) -> Arc<PeerLiveness> {
        Arc::clone(&locked(&self.0.peers))
    }

    fn brokerages(&self) -> MutexGuard<'_, FxHashMap<BrokerId, Arc<BrokeragePresence>>> {
        locked(&self.0.brokerages)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        locked(&self.0.outbox)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
