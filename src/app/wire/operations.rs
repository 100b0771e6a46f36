//! What admins see of the running service, and do.

use std::sync::Arc;

use super::{Wiring, size};
use crate::fanout::Fanout;
use crate::log::RelayWaker;
use crate::operations::{OperationParts, OperationTasks, Operations};
use crate::stream::StreamServices;
use crate::tasks::Uploads;

impl Wiring<'_> {
    pub(super) fn operations(
        &self,
        fanout: &Arc<Fanout>,
        streams: &StreamServices,
        uploads: &Uploads,
        waker: RelayWaker,
    ) -> Operations {
        let parts = OperationParts {
            pool: self.database.pool.clone(),
            core: self.database.core.clone(),
            sessions: streams.sessions.clone(),
            presence: streams.presence.clone(),
            fanout: Arc::clone(fanout),
            health: Arc::clone(streams.log_handle.health()),
            connection_limits: Arc::clone(&streams.connection_limits),
            most_streams: size(self.config.streams.max_streams),
            uploads: uploads.clone(),
            figures: self.figures.clone(),
            metrics: Arc::clone(&self.metrics),
            waker,
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
