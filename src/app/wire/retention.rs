//! Removes old events, tasks, notifications, rows of locks and uploads.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Wiring;
use crate::collab::lock_retention;
use crate::inbox::notifications;
use crate::log::RetentionSettings;
use crate::log::retention::{self, Deletions};
use crate::platform::BackgroundTask;
use crate::platform::Metrics;
use crate::platform::database::limited;
use crate::platform::metrics::{LoopMeter, LoopRound};
use crate::platform::{Limit, Pool};
use crate::tasks;
use crate::tasks::uploads;

impl Wiring<'_> {
    pub(super) fn retention(&self) {
        let parts = RetentionParts {
            pool: self.database.pool.clone(),
            settings: self.config.retention.clone(),
            deletions: self.deletions(),
            task_age: self.config.tasks.retention(),
            notification_age: self.config.notifications.age(),
            metrics: Arc::clone(&self.metrics),
            meter: self.metrics.loops.meter("retention"),
            stop: self.stop(),
        };
        self.tasks
            .spawn(BackgroundTask::new("the retention", run(parts)));
    }

    fn deletions(&self) -> Deletions {
        let modules = self.modules();
        let deletions = modules
            .iter()
            .map(|module| (module.name.clone(), module.event_type("deleted")));
        Deletions::of(deletions)
    }
}

struct RetentionParts {
    pool: Pool,
    settings: RetentionSettings,
    deletions: Deletions,
    task_age: Duration,
    notification_age: Duration,
    metrics: Arc<Metrics>,
    meter: LoopMeter,
    stop: CancellationToken,
}

async fn run(parts: RetentionParts) {
    let mut ticks = tokio::time::interval(parts.settings.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let round = async {
            ticks.tick().await;
            sweep(&parts).await;
        };
        // A step that the end of the service interrupts is undone.
        tokio::select! {
            () = parts.stop.cancelled() => return,
            () = round => {}
        }
    }
}

async fn sweep(parts: &RetentionParts) {
    let begin = || parts.meter.begin();
    let until = Instant::now() + retention::LONGEST_SWEEP;
    let events = retention::run(&parts.pool, &parts.settings, &parts.deletions, until);
    let removed = log_removed("events", begin(), events.await);
    parts.metrics.removed.inc_by(removed);
    let limit = Limit::HOUSEKEEPING;
    let tasks = tasks::retention::run(&parts.pool, parts.task_age);
    log_removed("tasks", begin(), limited(limit, tasks).await);
    let notifications = notifications::retention::run(&parts.pool, parts.notification_age);
    let (round, removed) = (begin(), limited(limit, notifications).await);
    log_removed("notifications", round, removed);
    let locks = lock_retention::run(&parts.pool);
    log_removed("rows of locks", begin(), limited(limit, locks).await);
    let uploads = uploads::remove_old(&parts.pool);
    log_removed("uploads", begin(), limited(limit, uploads).await);
}

fn log_removed(what: &str, round: LoopRound, removed: sqlx::Result<u64>) -> u64 {
    round.end(&removed);
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
