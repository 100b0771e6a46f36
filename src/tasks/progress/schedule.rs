//! When the progress writer must return to which task.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::log::TaskKey;
use crate::tasks::transitions::PROGRESS_INTERVAL;

/// Tasks with unpublished progress, and workflows that must follow their steps. Its size is
/// bounded by the number of running tasks: an entry for a task that has ended goes when it is due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    unpublished: FxHashMap<TaskKey, Instant>,
    workflows: FxHashMap<TaskKey, Instant>,
    /// The earliest next update of each workflow that was updated a moment ago.
    not_before: FxHashMap<TaskKey, Instant>,
}

impl Schedule {
    /// When the next entry is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.unpublished
            .values()
            .chain(self.workflows.values())
            .min()
            .copied()
    }

    pub(super) fn publish_in(&mut self, key: TaskKey, wait: Duration) {
        self.unpublished.insert(key, Instant::now() + wait);
    }

    /// This task has no unpublished progress any more.
    pub(super) fn forget(&mut self, key: &TaskKey) {
        self.unpublished.remove(key);
    }

    /// Schedules the update of a workflow as early as its interval allows.
    pub(super) fn update_workflow(&mut self, key: TaskKey) {
        let now = Instant::now();
        let due = self.not_before.get(&key).copied().unwrap_or(now);
        self.workflows.entry(key).or_insert(due.max(now));
    }

    /// Takes the tasks that are due.
    pub(super) fn take_tasks(&mut self) -> Vec<TaskKey> {
        take_due(&mut self.unpublished, Instant::now())
    }

    /// Takes the workflows that are due. Their interval begins.
    pub(super) fn take_workflows(&mut self) -> Vec<TaskKey> {
        let now = Instant::now();
        self.not_before.retain(|_, until| *until > now);
        let due = take_due(&mut self.workflows, now);
        let updated = due.iter().cloned();
        self.not_before
            .extend(updated.map(|key| (key, now + PROGRESS_INTERVAL)));
        due
    }
}

fn take_due(entries: &mut FxHashMap<TaskKey, Instant>, now: Instant) -> Vec<TaskKey> {
    let due: Vec<_> = entries
        .iter()
        .filter(|(_, due)| **due <= now)
        .map(|(key, _)| key.clone())
        .collect();
    for key in &due {
        entries.remove(key);
    }
    due
}
