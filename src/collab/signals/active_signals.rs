//! All signals that go on, here and at the other instances. It knows no clock and tells
//! nobody: it says what is to be told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use super::active_signal::{ActiveSignal, LASTS, SignalChange, SignalOrigin, SignalStart};
use super::name::SignalName;
use crate::log::Shown;
use crate::platform::{BrokerId, RecordPath, SessionName, TeamId, UserId};

/// Signals of one user that may go on at a time.
pub const MOST_PER_USER: usize = 20;
/// Signals that an instance knows of.
pub const MOST_ACTIVE: usize = 50_000;
/// How long it is remembered who sees a record: what was said before that is over by then.
const REMEMBERED: Duration = Duration::from_secs(2 * LASTS.as_secs());

/// What a signal is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum About {
    Record(RecordPath),
    Team(TeamId),
}

/// Which signal: whatever is the same here is one, from however many devices it comes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalKey {
    pub broker: BrokerId,
    pub user: UserId,
    pub about: About,
    pub name: SignalName,
}

/// Why a signal was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Too many of one user.
    #[error(
        "a user has {MOST_PER_USER} signals at a time at the most; some of yours must end first"
    )]
    TooMany,
    #[error("too many signals go on at this instance")]
    Busy,
}

/// Something to be told of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalUpdate {
    pub key: Arc<SignalKey>,
    pub change: SignalChange,
}

#[derive(Debug, Default)]
pub struct ActiveSignals {
    going: FxHashMap<Arc<SignalKey>, ActiveSignal>,
    /// Every signal of `going` once, at the time at which to look at it again.
    due: BTreeSet<(Instant, Arc<SignalKey>)>,
    per_user: FxHashMap<(BrokerId, UserId), usize>,
    /// Those of `going` that are about a record.
    per_record: FxHashMap<(BrokerId, RecordPath), FxHashSet<Arc<SignalKey>>>,
    /// Who sees records by now of which signals went on when they were told of.
    shown: FxHashMap<(BrokerId, RecordPath), (Shown, Instant)>,
}

impl ActiveSignals {
    /// A signal begins or goes on.
    pub fn start(
        &mut self,
        now: Instant,
        key: SignalKey,
        start: SignalStart,
    ) -> Result<Vec<SignalUpdate>, SignalError> {
        if self.is_outdated(now, &key, &start) {
            return Ok(Vec::new());
        }
        let key = self.room_for(now, key)?;
        Ok(self.change(now, &key, |going| going.start(now, start)))
    }

    /// Its user says that it is over. Where it is not known, and there is no room to
    /// remember that it was stopped, that is not remembered.
    pub fn stop(
        &mut self,
        now: Instant,
        key: SignalKey,
        (session, place): (Option<SessionName>, SignalOrigin),
    ) -> Vec<SignalUpdate> {
        let Ok(key) = self.room_for(now, key) else {
            return Vec::new();
        };
        self.change(now, &key, |going| going.stop(now, session, place))
    }

    /// What is to be told by now, of `most` signals; all that was due if it was fewer.
    pub fn tick(&mut self, now: Instant, most: usize) -> (Vec<SignalUpdate>, bool) {
        let mut tellings = Vec::new();
        for _ in 0..most {
            let due = self.due.first().filter(|(at, _)| *at <= now);
            let Some(key) = due.map(|(_, key)| Arc::clone(key)) else {
                return (tellings, true);
            };
            tellings.extend(self.change(now, &key, |going| going.tick(now)));
        }
        (tellings, false)
    }

    /// A record is shown like this from now on.
    pub fn show(
        &mut self,
        now: Instant,
        record: (BrokerId, RecordPath),
        shown: &Shown,
    ) -> Vec<SignalUpdate> {
        let Some(keys) = self.per_record.get(&record).cloned() else {
            return Vec::new();
        };
        let known = self.shown.get(&record);
        if known.is_some_and(|(known, _)| known.position > shown.position) {
            return Vec::new();
        }
        self.shown.retain(|_, (_, at)| now < *at + REMEMBERED);
        if self.shown.len() < MOST_ACTIVE {
            self.shown.insert(record, (shown.clone(), now));
        }
        let keys = keys.iter();
        keys.flat_map(|key| self.change(now, key, |going| going.show(&shown.audience)))
            .collect()
    }

    /// Who sees the records of a broker, or of all, may have changed unheard.
    pub fn forget_shown(&mut self, broker: Option<&BrokerId>) {
        self.shown
            .retain(|(of, _), _| broker.is_some_and(|broker| of != broker));
    }

    /// Whether it would be told to those who saw its record before. Another instance may have said
    /// it before it heard who sees the record by now.
    fn is_outdated(&self, now: Instant, key: &SignalKey, start: &SignalStart) -> bool {
        let About::Record(record) = &key.about else {
            return false;
        };
        if self.shown.is_empty() {
            return false;
        }
        let shown = self.shown.get(&(key.broker.clone(), record.clone()));
        shown.is_some_and(|(shown, at)| now < *at + REMEMBERED && !start.said.fits(&shown.audience))
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.going.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.going.is_empty()
    }

    /// Makes sure that the signal is in the table.
    fn room_for(&mut self, now: Instant, key: SignalKey) -> Result<Arc<SignalKey>, SignalError> {
        if let Some((known, _)) = self.going.get_key_value(&key) {
            return Ok(Arc::clone(known));
        }
        if self.going.len() >= MOST_ACTIVE {
            return Err(SignalError::Busy);
        }
        let user = (key.broker.clone(), key.user.clone());
        let count = self.per_user.entry(user).or_default();
        if *count >= MOST_PER_USER {
            return Err(SignalError::TooMany);
        }
        *count += 1;
        let (key, going) = (Arc::new(key), ActiveSignal::new(now));
        self.due.insert((going.next(), Arc::clone(&key)));
        if let About::Record(record) = &key.about {
            let record = (key.broker.clone(), record.clone());
            let about = self.per_record.entry(record).or_default();
            about.insert(Arc::clone(&key));
        }
        self.going.insert(Arc::clone(&key), going);
        Ok(key)
    }

    fn change(
        &mut self,
        now: Instant,
        key: &Arc<SignalKey>,
        change: impl FnOnce(&mut ActiveSignal) -> Vec<SignalChange>,
    ) -> Vec<SignalUpdate> {
        let Some(going) = self.going.get_mut(key) else {
            return Vec::new();
        };
        let was_due = going.next();
        let changes = change(going);
        let (is_due, is_forgotten) = (going.next(), going.is_forgotten(now));
        self.due.remove(&(was_due, Arc::clone(key)));
        if is_forgotten {
            self.forget(key);
        } else {
            self.due.insert((is_due, Arc::clone(key)));
        }
        let pending = |change| SignalUpdate {
            key: Arc::clone(key),
            change,
        };
        changes.into_iter().map(pending).collect()
    }

    fn forget(&mut self, key: &SignalKey) {
        self.going.remove(key);
        if let About::Record(record) = &key.about {
            let record = (key.broker.clone(), record.clone());
            if let Some(about) = self.per_record.get_mut(&record) {
                about.remove(key);
                if about.is_empty() {
                    self.per_record.remove(&record);
                }
            }
        }
        let user = (key.broker.clone(), key.user.clone());
        if let Some(count) = self.per_user.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.per_user.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests;
