//! When the keeper is to look at what again.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::platform::{BrokerId, TaskId};
use crate::tasks::moves::TELL_EVERY;

/// One task of one broker.
pub(super) type Name = (BrokerId, TaskId);

/// Tasks with something to tell, and workflows that are to follow their children. Bounded by
/// the tasks that are at work: what has ended is forgotten when it is looked at.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    untold: FxHashMap<Name, Instant>,
    families: FxHashMap<Name, Instant>,
    /// Workflows that were just looked at, and when they may be again.
    resting: FxHashMap<Name, Instant>,
}

impl Agenda {
    pub(super) fn next(&self) -> Option<Instant> {
        self.untold
            .values()
            .chain(self.families.values())
            .min()
            .copied()
    }

    /// This task has something to tell after a while.
    pub(super) fn tell_in(&mut self, name: Name, wait: Duration) {
        self.untold.insert(name, Instant::now() + wait);
    }

    /// It has not any more.
    pub(super) fn is_told(&mut self, name: &Name) {
        self.untold.remove(name);
    }

    /// This workflow is to be looked at, as soon as it has rested.
    pub(super) fn look_at_family(&mut self, name: Name) {
        let now = Instant::now();
        let due = self.resting.get(&name).copied().unwrap_or(now);
        self.families.entry(name).or_insert(due.max(now));
    }

    /// Takes the tasks that are due.
    pub(super) fn due_tasks(&mut self) -> Vec<Name> {
        due(&mut self.untold, Instant::now())
    }

    /// Takes the workflows that are due, which then rest.
    pub(super) fn due_families(&mut self) -> Vec<Name> {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let due = due(&mut self.families, now);
        let resting = due.iter().cloned().map(|name| (name, now + TELL_EVERY));
        self.resting.extend(resting);
        due
    }
}

fn due(agenda: &mut FxHashMap<Name, Instant>, now: Instant) -> Vec<Name> {
    let due: Vec<_> = agenda
        .iter()
        .filter(|(_, due)| **due <= now)
        .map(|(name, _)| name.clone())
        .collect();
    for name in &due {
        agenda.remove(name);
    }
    due
}
