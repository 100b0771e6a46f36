//! Presence: who is here, whether they are at it, and which record they have open.
//!
//! Signs of life (an open stream, a heartbeat) come to some instance. It writes them to the
//! table in batches, and all instances work out the same from them: a person is here while any
//! of their signs lasts, and a grace longer. So nobody flickers when they reconnect, and when
//! an instance dies its people last as long as its lease. Nothing here is ever logged: streams
//! are told the state as a whole and then its changes, as whispers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::directory::Modules;
use crate::directory::{RecordAudiences, RecordError};
use crate::fanout::{BrokerageHandle, Fanout};
use crate::identity::{Caller, Role};
use crate::platform::Clock;
use crate::platform::Metrics;
use crate::platform::{BrokerId, SessionName, UserId};

pub mod events;
pub mod group;
pub mod heartbeat;
pub mod moment;
pub mod moves;
pub mod person;
pub mod sign;
mod stale;
pub mod store;
pub mod sync;
pub mod timers;

pub use events::View;
pub use heartbeat::Heartbeat;
pub use person::PresenceRules;
pub use sign::Status;
pub use sync::PresenceSync;
pub use timers::PresenceTimers;

use group::{Now, PresenceGroup};
use moment::{Moment, Stopwatch};
use person::{Horizon, Person};
use sign::{Origin, Session, SignOfLife};
use store::PresenceKey;

/// Brokers whose rooms may wait to be filled.
const WAITING_JOINS: usize = 16_384;
/// How long one waits for a room.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Sessions of one user that are remembered.
const MOST_SESSIONS: usize = 64;

/// Why presence cannot be told or taken.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The database did not answer.
    #[error("presence cannot be told at the moment")]
    Unavailable,
    /// The user has no such session.
    #[error("you have no session {0}")]
    UnknownSession(SessionName),
    /// The user has more sessions than anybody needs.
    #[error("you have {MOST_SESSIONS} sessions already")]
    TooManySessions,
    /// The record is none of the user's.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// One broker's room, and when it was last entered.
#[derive(Debug)]
struct BrokeragePresence {
    broker: BrokerId,
    group: Mutex<PresenceGroup>,
    used_at: AtomicI64,
    /// Whispers in it that woke nobody yet.
    unheard: AtomicU64,
}

impl BrokeragePresence {
    fn enter(&self) -> PresenceSession<'_> {
        let group = locked(&self.group);
        PresenceSession {
            brokerage: self,
            group,
        }
    }
}

/// A moment alone in a room: never across an await.
struct PresenceSession<'a> {
    brokerage: &'a BrokeragePresence,
    group: MutexGuard<'a, PresenceGroup>,
}

/// Signs that the table does not have yet.
#[derive(Debug, Default)]
struct Outbox {
    signs: FxHashMap<PresenceKey, SignOfLife>,
    /// Others would see a change.
    is_urgent: bool,
}

struct Join {
    broker: BrokerId,
    answer: oneshot::Sender<Arc<BrokeragePresence>>,
}

pub struct PresenceParts {
    pub fanout: Arc<Fanout>,
    pub modules: Modules,
    pub records: RecordAudiences,
    pub rules: PresenceRules,
    /// A larger crowd is told of by its number.
    pub most_told: usize,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

struct Shared {
    parts: PresenceParts,
    stopwatch: Stopwatch,
    brokerages: Mutex<FxHashMap<BrokerId, Arc<BrokeragePresence>>>,
    horizon: Mutex<Arc<Horizon>>,
    outbox: Mutex<Outbox>,
    /// Brokers in whose logs something happened that may have changed who sees what is open.
    doubted: Mutex<FxHashSet<BrokerId>>,
    doubts: Notify,
    joins: mpsc::Sender<Join>,
    /// When the table was last looked at, in milliseconds.
    read_at: AtomicI64,
}

#[derive(Clone)]
pub struct Presence(Arc<Shared>);

impl Presence {
    /// The handle, and what its keeper takes.
    fn new(parts: PresenceParts) -> (Self, mpsc::Receiver<Join>) {
        let (joins, waiting) = mpsc::channel(WAITING_JOINS);
        let shared = Shared {
            parts,
            stopwatch: Stopwatch::start(),
            brokerages: Mutex::default(),
            horizon: Mutex::default(),
            outbox: Mutex::default(),
            doubted: Mutex::default(),
            doubts: Notify::new(),
            joins,
            read_at: AtomicI64::new(0),
        };
        (Self(Arc::new(shared)), waiting)
    }

    #[must_use]
    pub fn rules(&self) -> PresenceRules {
        self.0.parts.rules
    }

    /// What `view` sees of a broker's people.
    pub async fn look(&self, broker: &BrokerId, view: &View<'_>) -> Result<Value, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        Ok(self.dated(view.of(&brokerage.enter().group)))
    }

    /// The same, and the place in the air from which on changes of it are told.
    pub async fn look_and_listen(
        &self,
        broker: &BrokerId,
        view: &View<'_>,
    ) -> Result<(Value, u64), PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        Ok(self.seen_in(&brokerage, view))
    }

    /// The same without waiting, where the room is filled already.
    #[must_use]
    pub fn look_now(&self, broker: &BrokerId, view: &View<'_>) -> Option<(Value, u64)> {
        let brokerage = self.filled(broker)?;
        Some(self.seen_in(&brokerage, view))
    }

    /// Changes are whispered while the room is held, so nothing is between the two.
    fn seen_in(&self, brokerage: &BrokeragePresence, view: &View<'_>) -> (Value, u64) {
        let visit = brokerage.enter();
        let next = |log: BrokerageHandle| log.ephemeral_ring().next();
        let next = self.0.parts.fanout.visit(&brokerage.broker).map_or(0, next);
        (self.dated(view.of(&visit.group)), next)
    }

    /// Whether somebody is not here, at any instance.
    pub async fn is_offline(
        &self,
        broker: &BrokerId,
        user: &UserId,
    ) -> Result<bool, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        Ok(brokerage.enter().group.find(user).is_none())
    }

    /// A stream has opened: its user is here until what this returns is dropped.
    pub async fn attend(&self, caller: &Caller) -> Result<Option<PresenceGuard>, PresenceError> {
        if !matches!(caller.role, Role::Agent | Role::Admin) {
            return Ok(None);
        }
        let brokerage = self.brokerage(&caller.broker).await?;
        let sign = SignOfLife::of_stream(Arc::clone(&caller.teams), self.now().moment);
        let mut visit = brokerage.enter();
        visit.group.stream_opened(&caller.user);
        self.take(&mut visit, (&caller.user, Session::Streams), sign);
        // They may have just left another instance, which should know before the grace is over.
        let person = visit.group.person(&caller.user);
        if person.is_some_and(Person::has_others) {
            self.outbox().is_urgent = true;
        }
        drop(visit);
        Ok(Some(PresenceGuard {
            presence: self.clone(),
            brokerage,
            user: caller.user.clone(),
            back_within: Duration::ZERO,
        }))
    }

    fn left(&self, brokerage: &BrokeragePresence, user: &UserId, back_within: Duration) {
        let now = self.now().moment;
        let mut visit = brokerage.enter();
        if !visit.group.stream_closed(user) {
            return;
        }
        let person = visit.group.person(user);
        if let Some(sign) = person.and_then(Person::open_streams).cloned() {
            let ends_at = Some(now.plus(back_within));
            let sign = SignOfLife {
                ends_at,
                ..sign.over(now)
            };
            self.take(&mut visit, (user, Session::Streams), sign);
        }
    }

    /// Takes a sign that was noticed here: into the room, and on its way to the table.
    fn take(
        &self,
        visit: &mut PresenceSession<'_>,
        (user, session): (&UserId, Session),
        sign: SignOfLife,
    ) {
        let source = (session.clone(), Origin::Here);
        let is_news = visit.group.put(user, source, sign.clone());
        let has_changed = is_news && self.judge(visit, user);
        let key = PresenceKey {
            broker: visit.brokerage.broker.clone(),
            user: user.clone(),
            session,
        };
        let mut outbox = self.outbox();
        outbox.signs.insert(key, sign);
        outbox.is_urgent |= has_changed;
    }

    /// Judges a person again, and whispers what has changed.
    fn judge(&self, visit: &mut PresenceSession<'_>, user: &UserId) -> bool {
        let (now, horizon) = (self.now(), self.horizon());
        let Some(change) = visit.group.judge(user, now, &horizon) else {
            return false;
        };
        let parts = &self.0.parts;
        parts.metrics.presence_changes.inc();
        if let Some(log) = parts.fanout.visit(&visit.brokerage.broker) {
            let environment = (&parts.modules, now.time);
            for ephemeral in events::ephemerals(&visit.group, &change, environment) {
                let unheard = u64::from(!ephemeral.wakes());
                visit
                    .brokerage
                    .unheard
                    .fetch_add(unheard, Ordering::Relaxed);
                parts.fanout.publish_ephemeral(&log, ephemeral);
            }
        }
        true
    }

    async fn brokerage(&self, broker: &BrokerId) -> Result<Arc<BrokeragePresence>, PresenceError> {
        if let Some(brokerage) = self.filled(broker) {
            return Ok(brokerage);
        }
        let (answer, answered) = oneshot::channel();
        let broker = broker.clone();
        let asked = self.0.joins.try_send(Join { broker, answer });
        asked.map_err(|_| PresenceError::Unavailable)?;
        match tokio::time::timeout(JOIN_TIMEOUT, answered).await {
            Ok(Ok(brokerage)) => Ok(brokerage),
            _ => Err(PresenceError::Unavailable),
        }
    }

    fn filled(&self, broker: &BrokerId) -> Option<Arc<BrokeragePresence>> {
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

    fn settle_everybody(&self) {
        for brokerage in self.all_brokerages() {
            let mut visit = brokerage.enter();
            for user in visit.group.everybody() {
                self.judge(&mut visit, &user);
            }
        }
    }

    /// No sign of another instance is taken to end before `moment`.
    fn doubt_until(&self, moment: Moment) {
        let mut horizon = locked(&self.0.horizon);
        if horizon.trusted_from != moment {
            Arc::make_mut(&mut horizon).trusted_from = moment;
        }
    }

    fn horizon(&self) -> Arc<Horizon> {
        Arc::clone(&locked(&self.0.horizon))
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

/// An open stream, as presence sees it: its user is here until it is dropped.
pub struct PresenceGuard {
    presence: Presence,
    brokerage: Arc<BrokeragePresence>,
    user: UserId,
    back_within: Duration,
}

impl PresenceGuard {
    /// The client was told to come back within so long, which counts as here.
    pub fn back_within(&mut self, duration: Duration) {
        self.back_within = duration;
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        self.presence
            .left(&self.brokerage, &self.user, self.back_within);
    }
}

#[cfg(test)]
mod tests;
