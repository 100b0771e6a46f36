//! What streams need.

use std::sync::Arc;

use super::{Wiring, size};
use crate::collab::{LockSnapshotLoader, Presence};
use crate::directory::Brokerages;
use crate::fanout::{ConnectionLimits, LogHandle, ReplayLoader};
use crate::sessions::Sessions;
use crate::stream::{StreamLine, StreamServices};

impl Wiring<'_> {
    pub(super) fn streams(
        &self,
        log_handle: LogHandle,
        presence: &Presence,
        brokerages: Option<Brokerages>,
        sessions: &Sessions,
    ) -> Arc<StreamServices> {
        let settings = self.config.streams.clone();
        let most = size(settings.max_streams);
        Arc::new(StreamServices {
            log_handle,
            brokerages,
            presence: presence.clone(),
            sessions: sessions.clone(),
            replay_loader: self.replay_loader(),
            locks: self.lock_snapshot_loader(),
            pool: self.database.pool.clone(),
            core: self.database.core.clone(),
            connection_limits: ConnectionLimits::new(most),
            metrics: Arc::clone(&self.metrics),
            figures: self.figures.clone(),
            dice: self.dice(),
            rush: self.rush(),
            clock: self.clock(),
            line_limit: self
                .line_limit("the log of streams", |line: &StreamLine, n| line.sum_up(n)),
            settings,
        })
    }

    fn replay_loader(&self) -> ReplayLoader {
        let (pool, metrics) = (self.database.core.clone(), Arc::clone(&self.metrics));
        let (loader, task) = ReplayLoader::start(pool, metrics, self.stop());
        self.tasks.spawn(task);
        loader
    }

    fn lock_snapshot_loader(&self) -> LockSnapshotLoader {
        let (loader, task) = LockSnapshotLoader::start(
            self.connection("lock_snapshots"),
            &self.metrics.queues,
            self.stop(),
        );
        self.tasks.spawn(task);
        loader
    }
}
