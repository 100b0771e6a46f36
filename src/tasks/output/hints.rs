//! Hints that a task's output has grown on this instance. Losing one costs a poll.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::ids::{BrokerId, TaskId};

type Bells = FxHashMap<(BrokerId, TaskId), watch::Sender<()>>;

/// Who is told that a task has changed: those who listen just now.
#[derive(Clone, Debug, Default)]
pub struct Hints(Arc<Mutex<Bells>>);

/// Somebody who listens. Bells that nobody hears go with the next listener.
#[derive(Debug)]
pub(super) struct Listening(watch::Receiver<()>);

impl Hints {
    /// Listens from now on.
    pub(super) fn listen(&self, broker: &BrokerId, task: &TaskId) -> Listening {
        let mut bells = self.bells();
        bells.retain(|_, bell| bell.receiver_count() > 0);
        let bell = bells.entry((broker.clone(), task.clone()));
        Listening(bell.or_default().subscribe())
    }

    /// The task or its output has changed.
    pub(in crate::tasks) fn changed(&self, broker: &BrokerId, task: &TaskId) {
        let bells = self.bells();
        if let Some(bell) = bells.get(&(broker.clone(), task.clone())) {
            bell.send_replace(());
        }
    }

    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    /// Waits for a change since the last time.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
