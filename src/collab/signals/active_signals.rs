//! All active signals, of this instance and of the others. It has no clock and publishes nothing:
//! it returns what to publish.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use super::active_signal::{ActiveSignal, SIGNAL_TTL, SignalChange, SignalOrigin, SignalStart};
use super::name::SignalName;
use crate::log::RecordAudience;
use crate::platform::{BrokerId, RecordPath, SessionName, TeamId, UserId};

/// Signals that one user can have at a time.
pub const MOST_PER_USER: usize = 20;
/// Signals that an instance can know of.
pub const MOST_ACTIVE: usize = 50_000;
/// How long the new audience of a record is remembered. A signal that was sent before has ended by
/// then.
const AUDIENCE_TTL: Duration = Duration::from_secs(2 * SIGNAL_TTL.as_secs());

/// What a signal is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum About {
    Record(RecordPath),
    Team(TeamId),
}

/// Signals of several devices with the same key are one signal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalKey {
    pub broker: BrokerId,
    pub user: UserId,
    pub about: About,
    pub name: SignalName,
}

impl SignalKey {
    fn record(&self) -> Option<SignalRecord> {
        let About::Record(record) = &self.about else {
            return None;
        };
        Some(SignalRecord {
            broker: self.broker.clone(),
            record: record.clone(),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignalRecord {
    pub broker: BrokerId,
    pub record: RecordPath,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    #[error(
        "a user has {MOST_PER_USER} signals at a time at the most; some of yours must end first"
    )]
    TooMany,
    #[error("too many signals are active at this instance")]
    Busy,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalUpdate {
    pub key: Arc<SignalKey>,
    pub change: SignalChange,
}

#[derive(Debug)]
pub struct DueUpdates {
    pub updates: Vec<SignalUpdate>,
    /// Whether nothing more is due.
    pub is_all: bool,
}

#[derive(Debug)]
struct KnownAudience {
    shown: RecordAudience,
    at: Instant,
}

#[derive(Debug, Default)]
pub struct ActiveSignals {
    signals: FxHashMap<Arc<SignalKey>, ActiveSignal>,
    /// Each signal once, with the time at which it is due.
    due: BTreeSet<(Instant, Arc<SignalKey>)>,
    per_user: FxHashMap<(BrokerId, UserId), usize>,
    per_record: FxHashMap<SignalRecord, FxHashSet<Arc<SignalKey>>>,
    /// New audiences of records that had signals when they changed.
    audiences: FxHashMap<SignalRecord, KnownAudience>,
}

impl ActiveSignals {
    /// Starts or renews a signal.
    pub fn start(
        &mut self,
        now: Instant,
        key: SignalKey,
        start: SignalStart,
    ) -> Result<Vec<SignalUpdate>, SignalError> {
        if self.is_outdated(now, &key, &start) {
            return Ok(Vec::new());
        }
        let key = self.find_or_insert(now, key)?;
        Ok(self.change(now, &key, |signal| signal.start(now, start)))
    }

    /// Stops a signal. If the signal is not known and the table is full, the stop is not remembered.
    pub fn stop(
        &mut self,
        now: Instant,
        key: SignalKey,
        session: Option<SessionName>,
        origin: SignalOrigin,
    ) -> Vec<SignalUpdate> {
        let Ok(key) = self.find_or_insert(now, key) else {
            return Vec::new();
        };
        self.change(now, &key, |signal| signal.stop(now, session, origin))
    }

    /// Processes what is due, of at most `most` signals.
    pub fn due_updates(&mut self, now: Instant, most: usize) -> DueUpdates {
        let mut updates = Vec::new();
        for _ in 0..most {
            let due = self.due.first().filter(|(at, _)| *at <= now);
            let Some(key) = due.map(|(_, key)| Arc::clone(key)) else {
                let is_all = true;
                return DueUpdates { updates, is_all };
            };
            updates.extend(self.change(now, &key, |signal| signal.due_changes(now)));
        }
        let is_all = false;
        DueUpdates { updates, is_all }
    }

    /// Applies the new audience of a record.
    pub fn update_audience(
        &mut self,
        now: Instant,
        record: SignalRecord,
        shown: &RecordAudience,
    ) -> Vec<SignalUpdate> {
        let Some(keys) = self.per_record.get(&record).cloned() else {
            return Vec::new();
        };
        let known = self.audiences.get(&record);
        if known.is_some_and(|known| known.shown.position > shown.position) {
            return Vec::new();
        }
        self.audiences
            .retain(|_, known| now < known.at + AUDIENCE_TTL);
        if self.audiences.len() < MOST_ACTIVE {
            let known = KnownAudience {
                shown: shown.clone(),
                at: now,
            };
            self.audiences.insert(record, known);
        }
        let audience = &shown.audience;
        let keys = keys.iter();
        keys.flat_map(|key| self.change(now, key, |signal| signal.update_audience(audience)))
            .collect()
    }

    /// The known audiences of a brokerage's records, or of all records, may be out of date.
    pub fn forget_audiences(&mut self, broker: Option<&BrokerId>) {
        self.audiences
            .retain(|record, _| broker.is_some_and(|broker| record.broker != *broker));
    }

    /// Whether a start has an old audience of its record. Another instance may have sent it before
    /// it read the new one.
    fn is_outdated(&self, now: Instant, key: &SignalKey, start: &SignalStart) -> bool {
        if self.audiences.is_empty() {
            return false;
        }
        let known = key.record().and_then(|record| self.audiences.get(&record));
        known.is_some_and(|known| {
            now < known.at + AUDIENCE_TTL && !start.details.fits(&known.shown.audience)
        })
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.signals.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    fn find_or_insert(
        &mut self,
        now: Instant,
        key: SignalKey,
    ) -> Result<Arc<SignalKey>, SignalError> {
        if let Some((known, _)) = self.signals.get_key_value(&key) {
            return Ok(Arc::clone(known));
        }
        if self.signals.len() >= MOST_ACTIVE {
            return Err(SignalError::Busy);
        }
        let user = (key.broker.clone(), key.user.clone());
        let count = self.per_user.entry(user).or_default();
        if *count >= MOST_PER_USER {
            return Err(SignalError::TooMany);
        }
        *count += 1;
        let (key, signal) = (Arc::new(key), ActiveSignal::new(now));
        self.due.insert((signal.due_at(), Arc::clone(&key)));
        if let Some(record) = key.record() {
            let keys = self.per_record.entry(record).or_default();
            keys.insert(Arc::clone(&key));
        }
        self.signals.insert(Arc::clone(&key), signal);
        Ok(key)
    }

    fn change(
        &mut self,
        now: Instant,
        key: &Arc<SignalKey>,
        change: impl FnOnce(&mut ActiveSignal) -> Vec<SignalChange>,
    ) -> Vec<SignalUpdate> {
        let Some(signal) = self.signals.get_mut(key) else {
            return Vec::new();
        };
        let was_due_at = signal.due_at();
        let changes = change(signal);
        let (due_at, is_over) = (signal.due_at(), signal.is_over(now));
        self.due.remove(&(was_due_at, Arc::clone(key)));
        if is_over {
            self.remove(key);
        } else {
            self.due.insert((due_at, Arc::clone(key)));
        }
        let update = |change| SignalUpdate {
            key: Arc::clone(key),
            change,
        };
        changes.into_iter().map(update).collect()
    }

    fn remove(&mut self, key: &SignalKey) {
        self.signals.remove(key);
        if let Some(record) = key.record()
            && let Some(keys) = self.per_record.get_mut(&record)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.per_record.remove(&record);
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
