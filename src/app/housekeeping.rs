//! What is done now and then: old events, tasks, notifications and uploads go.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::wire::Ground;
use crate::inbox::notifications;
use crate::log::RetentionSettings;
use crate::log::retention;
use crate::platform::Metrics;
use crate::platform::database::limited;
use crate::platform::{Limit, Pool};
use crate::tasks;
use crate::tasks::uploads;

impl Ground<'_> {
    pub(super) fn keep_house(&self, metrics: &Arc<Metrics>) {
        let parts = Parts {
            pool: self.database.pool.clone(),
            settings: self.config.retention.clone(),
            task_age: self.config.tasks.retention(),
            notification_age: self.config.notifications.age(),
            metrics: Arc::clone(metrics),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("housekeeping", run(parts));
    }
}

pub(super) struct Parts {
    pub(super) pool: Pool,
    pub(super) settings: RetentionSettings,
    pub(super) task_age: Duration,
    pub(super) notification_age: Duration,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
}

/// Keeps house until it is stopped.
pub(super) async fn run(parts: Parts) {
    let mut ticks = tokio::time::interval(parts.settings.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = parts.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let events = retention::run(&parts.pool, &parts.settings).await;
        parts.metrics.removed.inc_by(say("events", events));
        let limit = Limit::HOUSEKEEPING;
        let tasks = tasks::retention::run(&parts.pool, parts.task_age);
        say("tasks", limited(limit, tasks).await);
        let notifications = notifications::retention::run(&parts.pool, parts.notification_age);
        say("notifications", limited(limit, notifications).await);
        let uploads = uploads::remove_old(&parts.pool);
        say("uploads", limited(limit, uploads).await);
    }
}

fn say(what: &str, removed: sqlx::Result<u64>) -> u64 {
    match removed {
        Ok(removed) => {
            if removed > 0 {
                tracing::info!(removed, "old {what} were removed");
            }
            removed
        }
        Err(error) => {
            tracing::warn!(%error, "old {what} could not be removed");
            0
        }
    }
}
