//! What is done now and then: old events and notifications go.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::log::RetentionSettings;
use crate::event_log::retention;
use crate::metrics::Metrics;
use crate::notifications;

/// What housekeeping needs.
pub(super) struct Parts {
    pub(super) pool: PgPool,
    pub(super) settings: RetentionSettings,
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
        match retention::run(&parts.pool, &parts.settings).await {
            Ok(0) => {}
            Ok(removed) => {
                parts.metrics.removed.inc_by(removed);
                tracing::info!(removed, "old events were removed");
            }
            Err(error) => tracing::warn!(%error, "old events could not be removed"),
        }
        match notifications::retention::run(&parts.pool, parts.notification_age).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old notifications were removed"),
            Err(error) => tracing::warn!(%error, "old notifications could not be removed"),
        }
    }
}
