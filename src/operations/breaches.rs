//! Which thresholds are exceeded now.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::Operations;
use super::alerts::Breach;
use super::memory::resident_bytes;
use super::rules::RuleName;
use super::samples::MINUTE;
use crate::log::figures::RelayTrouble;
use crate::platform::BrokerId;
use crate::platform::figures::percentile_ms;
use crate::platform::metrics::number;
use crate::tasks::figures::TaskTrouble;

const MEGABYTE: f64 = 1_048_576.0;

/// What the database knows of all brokerages.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    pub(super) relay: Vec<RelayTrouble>,
    pub(super) tasks: Vec<TaskTrouble>,
}

impl Troubles {
    /// How long the oldest change has waited for the log.
    pub(super) fn outbox_seconds(&self) -> f64 {
        let waits = self.relay.iter().map(|trouble| trouble.oldest_seconds);
        waits.fold(0.0, f64::max)
    }

    pub(super) fn poison_rows(&self) -> f64 {
        rows(self.relay.iter().map(|trouble| trouble.poison).sum())
    }

    /// How long the oldest task has waited for a worker.
    pub(super) fn task_seconds(&self) -> f64 {
        let waits = self.tasks.iter().map(|task| task.oldest_waiting_seconds);
        waits.fold(0.0, f64::max)
    }

    /// Those of the brokerage with the most of them.
    pub(super) fn failed_tasks(&self) -> f64 {
        let most = self.tasks.iter().map(|task| task.failed_last_hour).max();
        number(u64::try_from(most.unwrap_or_default()).unwrap_or_default())
    }
}

fn rows(count: i64) -> f64 {
    number(u64::try_from(count).unwrap_or_default())
}

/// A log that streams read.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogActivity {
    pub(super) head: i64,
    /// When it was seen to have this head.
    pub(super) since: Instant,
}

/// Collects breaches.
pub(super) struct Breaches<'a> {
    operations: &'a Operations,
    pub(super) found: Vec<Breach>,
}

impl<'a> Breaches<'a> {
    pub(super) fn new(operations: &'a Operations) -> Self {
        Self {
            operations,
            found: Vec::new(),
        }
    }

    fn threshold(&self, rule: RuleName) -> f64 {
        self.operations.0.parts.settings.threshold(rule)
    }

    /// Adds a breach if the rule is on and its threshold reached.
    fn check(&mut self, rule: RuleName, broker: Option<&BrokerId>, value: f64) {
        self.check_about(rule, broker, value, Vec::new());
    }

    fn check_about(
        &mut self,
        rule: RuleName,
        broker: Option<&BrokerId>,
        value: f64,
        subjects: Vec<String>,
    ) {
        let threshold = self.threshold(rule);
        if threshold > 0.0 && value >= threshold {
            self.found.push(Breach {
                rule,
                broker: broker.cloned(),
                value,
                threshold,
                subjects,
            });
        }
    }

    pub(super) fn of_instance(&mut self) {
        let parts = &self.operations.0.parts;
        let unread = parts.health.last_success().as_secs_f64();
        self.check(RuleName::DatabaseUnreachable, None, unread);
        let lag = self.operations.samples().longest_lag();
        self.check(RuleName::FollowerLag, None, lag.as_secs_f64() * 1_000.0);
        let memory = resident_bytes().map_or(0.0, |bytes| number(bytes) / MEGABYTE);
        self.check(RuleName::Memory, None, memory);
        let streams = number(parts.connection_limits.open() as u64);
        let percent = 100.0 * streams / number(parts.most_streams.max(1) as u64);
        self.check(RuleName::StreamsFull, None, percent);
        let waiting = number(parts.pool.waiting() as u64);
        self.check(RuleName::PoolWaiting, None, waiting);
    }

    /// What was counted in the last minute.
    pub(super) fn of_brokerages(&mut self, now: Instant) {
        for (broker, figures) in self.operations.0.parts.figures.all() {
            let totals = figures.totals();
            let samples = self.operations.samples();
            let minute = samples.counted(&broker, now, &totals, MINUTE).figures;
            drop(samples);
            let broker = Some(&broker);
            let slowest = percentile_ms(&minute.delays, 99.0).unwrap_or_default();
            self.check(RuleName::Latency, broker, slowest);
            self.check(RuleName::Resets, broker, number(minute.resets));
            let refusals = number(minute.refusals);
            let threshold = self.threshold(RuleName::Refusals);
            if threshold > 0.0 && refusals >= threshold {
                let codes = figures.refusals.get().into_keys().collect();
                self.check_about(RuleName::Refusals, broker, refusals, codes);
            }
        }
    }

    pub(super) fn of_logs(&mut self, logs: &FxHashMap<BrokerId, LogActivity>, now: Instant) {
        for (broker, activity) in logs {
            let quiet = now.saturating_duration_since(activity.since);
            let minutes = quiet.as_secs_f64() / 60.0;
            self.check(RuleName::NoEvents, Some(broker), minutes);
        }
    }

    pub(super) fn of_troubles(&mut self, troubles: &Troubles) {
        let mut of_nobody = 0;
        for trouble in &troubles.relay {
            let Some(broker) = trouble.brokerage() else {
                of_nobody += trouble.poison;
                continue;
            };
            self.check(RuleName::RelayLag, Some(&broker), trouble.oldest_seconds);
            self.check(RuleName::Poison, Some(&broker), rows(trouble.poison));
        }
        // A row without a valid brokerage does not wait: it is set aside at once.
        self.check(RuleName::Poison, None, rows(of_nobody));
        for trouble in &troubles.tasks {
            let Ok(broker) = trouble.broker.parse() else {
                continue;
            };
            let waits = trouble.oldest_waiting_seconds;
            self.check(RuleName::TasksWaiting, Some(&broker), waits);
            let failed = number(u64::try_from(trouble.failed_last_hour).unwrap_or_default());
            self.check(RuleName::TasksFailing, Some(&broker), failed);
        }
    }

    /// Clients that are not back, at no instance.
    pub(super) async fn of_lost_clients(&mut self) {
        let rule = RuleName::ClientDisconnected;
        let threshold = self.threshold(rule);
        if threshold <= 0.0 {
            return;
        }
        let parts = &self.operations.0.parts;
        let mut away: BTreeMap<BrokerId, (f64, Vec<String>)> = BTreeMap::new();
        for client in parts
            .sessions
            .lost_clients(Duration::from_secs_f64(threshold))
        {
            let user = &client.user;
            match parts.presence.has_streams(&user.broker, &user.user).await {
                Ok(true) => parts.sessions.found_client(user),
                Ok(false) => {
                    let (longest, users) = away.entry(user.broker.clone()).or_default();
                    *longest = longest.max(client.away.as_secs_f64());
                    users.push(user.user.to_string());
                }
                // It is not known at the moment.
                Err(_) => {}
            }
        }
        for (broker, (longest, mut users)) in away {
            users.sort_unstable();
            self.check_about(rule, Some(&broker), longest, users);
        }
    }
}
