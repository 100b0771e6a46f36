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

use crate::clock::Clock;
use crate::hub::{Guest, Hub};
use crate::identity::{Caller, Role};
use crate::ids::{BrokerId, SessionName, UserId};
use crate::metrics::Metrics;
use crate::modules::Modules;
use crate::records::{RecordBook, RecordError};

pub mod beat;
pub mod keeper;
pub mod moment;
pub mod moves;
pub mod person;
pub mod room;
pub mod rounds;
pub mod sign;
mod stale;
pub mod store;
pub mod told;

pub use beat::Beat;
pub use keeper::Keeper;
pub use person::Rules;
pub use rounds::Rounds;
pub use sign::Status;
pub use told::View;

use moment::{Moment, Stopwatch};
use person::{Horizon, Person};
use room::{Now, Room};
use sign::{Origin, Session, Sign};
use store::Key;

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
struct Hall {
    broker: BrokerId,
    room: Mutex<Room>,
    used_at: AtomicI64,
    /// Whispers in it that woke nobody yet.
    unheard: AtomicU64,
}

impl Hall {
    fn enter(&self) -> Visit<'_> {
        let room = locked(&self.room);
        Visit { hall: self, room }
    }
}

/// A moment alone in a room: never across an await.
struct Visit<'a> {
    hall: &'a Hall,
    room: MutexGuard<'a, Room>,
}

/// Signs that the table does not have yet.
#[derive(Debug, Default)]
struct Outbox {
    signs: FxHashMap<Key, Sign>,
    /// Others would see a change.
    is_urgent: bool,
}

struct Join {
    broker: BrokerId,
    answer: oneshot::Sender<Arc<Hall>>,
}

/// What presence works with.
pub struct PresenceParts {
    /// Whom it tells.
    pub hub: Arc<Hub>,
    /// What records there are.
    pub modules: Modules,
    /// Who may see them.
    pub records: RecordBook,
    /// How long things count.
    pub rules: Rules,
    /// A larger crowd is told of by its number.
    pub most_told: usize,
    /// What people read.
    pub clock: Clock,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
}

struct Shared {
    parts: PresenceParts,
    stopwatch: Stopwatch,
    halls: Mutex<FxHashMap<BrokerId, Arc<Hall>>>,
    horizon: Mutex<Arc<Horizon>>,
    outbox: Mutex<Outbox>,
    /// Brokers in whose logs something happened that may have changed who sees what is open.
    doubted: Mutex<FxHashSet<BrokerId>>,
    doubts: Notify,
    joins: mpsc::Sender<Join>,
    /// When the table was last looked at, in milliseconds.
    read_at: AtomicI64,
}

/// A handle to presence.
#[derive(Clone)]
pub struct Presence(Arc<Shared>);

impl Presence {
    /// The handle, and what its keeper takes.
    fn new(parts: PresenceParts) -> (Self, mpsc::Receiver<Join>) {
        let (joins, waiting) = mpsc::channel(WAITING_JOINS);
        let shared = Shared {
            parts,
            stopwatch: Stopwatch::start(),
            halls: Mutex::default(),
            horizon: Mutex::default(),
            outbox: Mutex::default(),
            doubted: Mutex::default(),
            doubts: Notify::new(),
            joins,
            read_at: AtomicI64::new(0),
        };
        (Self(Arc::new(shared)), waiting)
    }

    /// How long things count.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.0.parts.rules
    }

    /// What `view` sees of a broker's people.
    pub async fn look(&self, broker: &BrokerId, view: &View<'_>) -> Result<Value, PresenceError> {
        let hall = self.hall(broker).await?;
        Ok(self.dated(view.of(&hall.enter().room)))
    }

    /// The same, and the place in the air from which on changes of it are told.
    pub async fn look_and_listen(
        &self,
        broker: &BrokerId,
        view: &View<'_>,
    ) -> Result<(Value, u64), PresenceError> {
        let hall = self.hall(broker).await?;
        Ok(self.seen_in(&hall, view))
    }

    /// The same without waiting, where the room is filled already.
    #[must_use]
    pub fn look_now(&self, broker: &BrokerId, view: &View<'_>) -> Option<(Value, u64)> {
        let hall = self.filled(broker)?;
        Some(self.seen_in(&hall, view))
    }

    /// Changes are whispered while the room is held, so nothing is between the two.
    fn seen_in(&self, hall: &Hall, view: &View<'_>) -> (Value, u64) {
        let visit = hall.enter();
        let next = |log: Guest| log.air().next();
        let next = self.0.parts.hub.visit(&hall.broker).map_or(0, next);
        (self.dated(view.of(&visit.room)), next)
    }

    /// Whether somebody is not here, at any instance.
    pub async fn is_offline(
        &self,
        broker: &BrokerId,
        user: &UserId,
    ) -> Result<bool, PresenceError> {
        let hall = self.hall(broker).await?;
        Ok(hall.enter().room.find(user).is_none())
    }

    /// A stream has opened: its user is here until what this returns is dropped.
    pub async fn attend(&self, caller: &Caller) -> Result<Option<Attendance>, PresenceError> {
        if !matches!(caller.role, Role::Agent | Role::Admin) {
            return Ok(None);
        }
        let hall = self.hall(&caller.broker).await?;
        let sign = Sign::of_stream(Arc::clone(&caller.teams), self.now().moment);
        let mut visit = hall.enter();
        visit.room.stream_opened(&caller.user);
        self.take(&mut visit, (&caller.user, Session::Streams), sign);
        // They may have just left another instance, which should know before the grace is over.
        let person = visit.room.person(&caller.user);
        if person.is_some_and(Person::has_others) {
            self.outbox().is_urgent = true;
        }
        drop(visit);
        Ok(Some(Attendance {
            presence: self.clone(),
            hall,
            user: caller.user.clone(),
            back_within: Duration::ZERO,
        }))
    }

    fn left(&self, hall: &Hall, user: &UserId, back_within: Duration) {
        let now = self.now().moment;
        let mut visit = hall.enter();
        if !visit.room.stream_closed(user) {
            return;
        }
        let person = visit.room.person(user);
        if let Some(sign) = person.and_then(Person::open_streams).cloned() {
            let ends_at = Some(now.plus(back_within));
            let sign = Sign {
                ends_at,
                ..sign.over(now)
            };
            self.take(&mut visit, (user, Session::Streams), sign);
        }
    }

    /// Takes a sign that was noticed here: into the room, and on its way to the table.
    fn take(&self, visit: &mut Visit<'_>, (user, session): (&UserId, Session), sign: Sign) {
        let source = (session.clone(), Origin::Here);
        let is_news = visit.room.put(user, source, sign.clone());
        let has_changed = is_news && self.judge(visit, user);
        let key = Key {
            broker: visit.hall.broker.clone(),
            user: user.clone(),
            session,
        };
        let mut outbox = self.outbox();
        outbox.signs.insert(key, sign);
        outbox.is_urgent |= has_changed;
    }

    /// Judges a person again, and whispers what has changed.
    fn judge(&self, visit: &mut Visit<'_>, user: &UserId) -> bool {
        let (now, horizon) = (self.now(), self.horizon());
        let Some(change) = visit.room.judge(user, now, &horizon) else {
            return false;
        };
        let parts = &self.0.parts;
        parts.metrics.presence_changes.inc();
        if let Some(log) = parts.hub.visit(&visit.hall.broker) {
            let around = (&parts.modules, now.time);
            for whisper in told::whispers(&visit.room, &change, around) {
                let unheard = u64::from(!whisper.wakes());
                visit.hall.unheard.fetch_add(unheard, Ordering::Relaxed);
                parts.hub.whisper(&log, whisper);
            }
        }
        true
    }

    /// The broker's room, filled.
    async fn hall(&self, broker: &BrokerId) -> Result<Arc<Hall>, PresenceError> {
        if let Some(hall) = self.filled(broker) {
            return Ok(hall);
        }
        let (answer, answered) = oneshot::channel();
        let broker = broker.clone();
        let asked = self.0.joins.try_send(Join { broker, answer });
        asked.map_err(|_| PresenceError::Unavailable)?;
        match tokio::time::timeout(JOIN_TIMEOUT, answered).await {
            Ok(Ok(hall)) => Ok(hall),
            _ => Err(PresenceError::Unavailable),
        }
    }

    fn filled(&self, broker: &BrokerId) -> Option<Arc<Hall>> {
        let halls = self.halls();
        let hall = halls.get(broker)?;
        hall.used_at.store(self.now_ms(), Ordering::Relaxed);
        Some(Arc::clone(hall))
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

    fn all_halls(&self) -> Vec<Arc<Hall>> {
        self.halls().values().cloned().collect()
    }

    fn settle_everybody(&self) {
        for hall in self.all_halls() {
            let mut visit = hall.enter();
            for user in visit.room.everybody() {
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

    fn halls(&self) -> MutexGuard<'_, FxHashMap<BrokerId, Arc<Hall>>> {
        locked(&self.0.halls)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        locked(&self.0.outbox)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open stream, as presence sees it: its user is here until it is dropped.
pub struct Attendance {
    presence: Presence,
    hall: Arc<Hall>,
    user: UserId,
    back_within: Duration,
}

impl Attendance {
    /// The client was told to come back within so long, which counts as here.
    pub fn back_within(&mut self, duration: Duration) {
        self.back_within = duration;
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.presence.left(&self.hall, &self.user, self.back_within);
    }
}

#[cfg(test)]
mod tests;
