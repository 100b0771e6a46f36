//! Samples the figures and evaluates the rules of alerts, again and again.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Operations;
use super::breaches::{Breaches, LogActivity, Troubles};
use crate::log::figures;
use crate::platform::{BrokerId, DedicatedConnection, Limit};
use crate::tasks;

/// The database is asked in every third round.
const ROUNDS_PER_READ: u64 = 3;

struct Watch {
    operations: Operations,
    database: DedicatedConnection,
    rounds: u64,
    /// The logs that streams read.
    logs: FxHashMap<BrokerId, LogActivity>,
    /// As they were read last.
    troubles: Arc<Troubles>,
}

pub(super) async fn run(
    operations: Operations,
    database: DedicatedConnection,
    stop: CancellationToken,
) {
    // An instance that starts has nothing to judge yet.
    let every = operations.0.parts.settings.interval();
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        operations,
        database,
        rounds: 0,
        logs: FxHashMap::default(),
        troubles: Arc::default(),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = watch.round() => {}
        }
    }
}

impl Watch {
    async fn round(&mut self) {
        let now = Instant::now();
        self.sample(now);
        self.look_at_logs(now);
        if self.rounds.is_multiple_of(ROUNDS_PER_READ) {
            match self.read_troubles().await {
                Ok(troubles) => {
                    self.troubles = Arc::new(troubles);
                    let known = Arc::clone(&self.troubles);
                    self.operations.0.set_troubles(known);
                }
                Err(error) => tracing::debug!(%error, "figures for alerts could not be read"),
            }
        }
        self.rounds += 1;
        let mut breaches = Breaches::new(&self.operations);
        breaches.of_instance();
        breaches.of_brokerages(now);
        breaches.of_logs(&self.logs, now);
        breaches.of_troubles(&self.troubles);
        breaches.of_lost_clients().await;
        let shared = &self.operations.0;
        let found = breaches.found;
        shared.alerts.update(found, shared.parts.clock.now());
    }

    fn sample(&self, now: Instant) {
        let parts = &self.operations.0.parts;
        let all = parts.figures.all().into_iter();
        let all = all.map(|(broker, figures)| (broker, figures.totals()));
        let (all, lag) = (all.collect(), parts.health.take_lag());
        let mut samples = self.operations.samples();
        samples.add(now, all);
        samples.add_lag(now, lag);
    }

    /// Notes when each log has last grown.
    fn look_at_logs(&mut self, now: Instant) {
        let mut before = std::mem::take(&mut self.logs);
        for (broker, head) in self.operations.0.parts.fanout.heads_in_use() {
            let known = before.remove(&broker).filter(|known| known.head == head);
            let new = LogActivity { head, since: now };
            self.logs.insert(broker, known.unwrap_or(new));
        }
    }

    async fn read_troubles(&mut self) -> sqlx::Result<Troubles> {
        let read = async |c: &mut PgConnection| {
            Ok(Troubles {
                relay: figures::relay_troubles(c).await?,
                tasks: tasks::figures::troubles(c).await?,
            })
        };
        self.database.run_within(Limit::LOOK, read).await
    }
}
