//! Hints that a task or its output has changed. A lost hint costs one poll interval.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashSet;
use tokio::sync::Notify;

use super::PeerNotifier;
use crate::log::peers::{BrokerSubscription, BrokerSubscriptions};
use crate::platform::{BrokerId, TaskId};

/// Changed tasks that are listed. When more change, one hint stands for all tasks.
const MOST_NAMED: usize = 8_192;

/// One task of one broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    pub broker: BrokerId,
    pub task: TaskId,
}

/// Tasks that may have changed.
#[derive(Debug, Default)]
pub struct TaskChanges {
    /// Any task may have changed.
    pub everywhere: bool,
    pub tasks: FxHashSet<TaskKey>,
}

impl TaskChanges {
    /// Adds a task. When too many are listed, all tasks count as changed.
    pub(super) fn add(&mut self, key: TaskKey) {
        if !self.everywhere {
            self.tasks.insert(key);
            if self.tasks.len() > MOST_NAMED {
                self.add_all();
            }
        }
    }

    fn add_all(&mut self) {
        self.everywhere = true;
        self.tasks.clear();
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everywhere && self.tasks.is_empty()
    }
}

#[derive(Debug, Default)]
struct SharedTaskChanges {
    listening: AtomicUsize,
    changes: Mutex<TaskChanges>,
    arrived: Notify,
}

/// Collects hints for this instance's readers of task output. Its memory is bounded.
#[derive(Clone, Debug, Default)]
pub struct TaskHints(Arc<SharedTaskChanges>);

/// While a listener exists, hints are collected. Without one, they are dropped.
#[derive(Debug)]
pub struct TaskListener {
    shared: Arc<SharedTaskChanges>,
    _notices: Option<BrokerSubscription>,
}

impl TaskHints {
    /// Hints are collected from now on, until the listener is dropped.
    #[must_use]
    pub fn listen(&self) -> TaskListener {
        self.listener(None)
    }

    fn listener(&self, notices: Option<BrokerSubscription>) -> TaskListener {
        self.0.listening.fetch_add(1, Ordering::SeqCst);
        TaskListener {
            shared: Arc::clone(&self.0),
            _notices: notices,
        }
    }

    #[must_use]
    pub fn has_listeners(&self) -> bool {
        self.0.listening.load(Ordering::SeqCst) > 0
    }

    /// This task or its output has changed.
    pub fn changed(&self, key: TaskKey) {
        if self.has_listeners() {
            self.changes().add(key);
            self.0.arrived.notify_one();
        }
    }

    /// Hints may have been lost: any task may have changed.
    pub fn changed_anywhere(&self) {
        if self.has_listeners() {
            self.changes().add_all();
            self.0.arrived.notify_one();
        }
    }

    /// Waits until there may be hints.
    pub async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    #[must_use]
    pub fn take(&self) -> TaskChanges {
        std::mem::take(&mut *self.changes())
    }

    fn changes(&self) -> MutexGuard<'_, TaskChanges> {
        let changes = self.0.changes.lock();
        changes.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TaskListener {
    fn drop(&mut self) {
        self.shared.listening.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Gives hints about tasks to this instance and to the others.
#[derive(Clone, Debug, Default)]
pub struct TaskNotices {
    pub here: TaskHints,
    pub elsewhere: PeerNotifier,
    subscriptions: BrokerSubscriptions,
}

impl TaskNotices {
    #[must_use]
    pub fn with(elsewhere: &PeerNotifier, subscriptions: &BrokerSubscriptions) -> Self {
        Self {
            here: TaskHints::default(),
            elsewhere: elsewhere.clone(),
            subscriptions: subscriptions.clone(),
        }
    }

    /// Hints are collected from now on, also those of other instances about this brokerage.
    #[must_use]
    pub fn listen(&self, broker: &BrokerId) -> TaskListener {
        let notices = self.subscriptions.subscribe(broker);
        self.here.listener(Some(notices))
    }

    /// A committed change of a task or its output.
    pub fn changed(&self, broker: &BrokerId, task: &TaskId) {
        let (broker, task) = (broker.clone(), task.clone());
        let key = TaskKey { broker, task };
        self.elsewhere.task(key.clone());
        self.here.changed(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> TaskKey {
        TaskKey {
            broker: "b".parse().unwrap(),
            task: format!("t{n}").parse().unwrap(),
        }
    }

    #[test]
    fn hints_are_collected_only_while_somebody_listens() {
        let hints = TaskHints::default();
        hints.changed(key(1));
        hints.changed_anywhere();
        assert!(hints.take().is_empty());
        let listener = hints.listen();
        hints.changed(key(1));
        hints.changed(key(1));
        assert_eq!(hints.take().tasks.into_iter().collect::<Vec<_>>(), [key(1)]);
        drop(listener);
        hints.changed(key(2));
        assert!(hints.take().is_empty());
    }

    #[test]
    fn too_many_hints_become_one_for_all() {
        let mut changes = TaskChanges::default();
        for n in 0..MOST_NAMED {
            changes.add(key(n));
        }
        assert!(!changes.everywhere && changes.tasks.len() == MOST_NAMED);
        changes.add(key(MOST_NAMED));
        changes.add(key(0));
        assert!(changes.everywhere && changes.tasks.is_empty());
    }
}
