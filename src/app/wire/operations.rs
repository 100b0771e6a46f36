//! What admins see of the running service, and do.

use std::sync::Arc;

use super::{Wiring, size};
use crate::collab::Presence;
use crate::fanout::Fanout;
use crate::log::RelayWaker;
use crate::operations::{OperationParts, OperationTasks, Operations};
use crate::sessions::Sessions;
use crate::stream::StreamServices;
use crate::tasks::Uploads;

/// The parts that are looked at.
pub(super) struct Watched<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) presence: &'a Presence,
    pub(super) fanout: &'a Arc<Fanout>,
    pub(super) streams: &'a StreamServices,
    pub(super) uploads: &'a Uploads,
    pub(super) waker: RelayWaker,
}

impl Wiring<'_> {
    pub(super) fn operations(&self, watched: Watched<'_>) -> Operations {
        let parts = OperationParts {
            pool: self.database.pool.clone(),
            core: self.database.core.clone(),
            sessions: watched.sessions.clone(),
            presence: watched.presence.clone(),
            fanout: Arc::clone(watched.fanout),
            health: Arc::clone(watched.streams.log_handle.health()),
            connection_limits: Arc::clone(&watched.streams.connection_limits),
            most_streams: size(self.config.streams.max_streams),
            uploads: watched.uploads.clone(),
            figures: self.figures.clone(),
            metrics: Arc::clone(&self.metrics),
            waker: watched.waker,
            clock: self.clock(),
            instance: Arc::clone(self.tasks.instance()),
            version: env!("CARGO_PKG_VERSION"),
            settings: self.config.alerts.clone(),
        };
        let tasks = OperationTasks {
            looks: self.connection("overview"),
            answers: self.connection("answers"),
            alerts: self.connection("alerts"),
            stop: self.stop(),
        };
        let (operations, tasks) = Operations::start(parts, tasks);
        for task in tasks {
            self.tasks.spawn(task);
        }
        operations
    }
}
