//! The overview of a brokerage and of all instances, put together from their reports and the database.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Operations;
use super::alerts::Alert;
use super::answers::Question;
use super::connections::Gathered;
use super::report::{BrokerageReport, InstanceReport};
use super::rules::{RuleName, RuleScope};
use crate::log::figures::{self, LogFigures, RelayFigures};
use crate::platform::database::DatabaseFigures;
use crate::platform::figures::FigureTotals;
use crate::platform::{BrokerId, Limit};
use crate::sessions::connections::ConnectionCounts;
use crate::tasks;
use crate::tasks::figures::TaskTypeFigures;

/// Everything that the overview tells.
#[derive(Debug)]
pub struct Overview {
    pub at: OffsetDateTime,
    pub this_instance: String,
    pub instances: Vec<(String, InstanceReport)>,
    /// Instances that should be alive and did not answer.
    pub silent: Vec<String>,
    pub totals: BrokerageTotals,
    /// `None`: it cannot be reached.
    pub database: Option<DatabaseState>,
    /// Those that are firing, the oldest first.
    pub alerts: Vec<FiringAlert>,
}

/// What all instances have counted together.
#[derive(Debug, Default)]
pub struct BrokerageTotals {
    pub counts: ConnectionCounts,
    pub totals: FigureTotals,
    pub minute: FigureTotals,
    /// Per second.
    pub published_rate: f64,
    pub delivered_rate: f64,
    pub replayed_rate: f64,
    pub opened_rate: f64,
    pub closed: BTreeMap<String, u64>,
    pub refusals: BTreeMap<String, u64>,
}

/// What the database tells.
#[derive(Debug)]
pub struct DatabaseState {
    pub server: DatabaseFigures,
    pub round_trip_ms: f64,
    pub log: LogFigures,
    pub relay: RelayFigures,
    pub tasks: Vec<TaskTypeFigures>,
}

#[derive(Clone, Debug)]
pub struct FiringAlert {
    /// `None`: it is about the brokerage.
    pub instance: Option<String>,
    pub alert: Alert,
}

impl Operations {
    pub async fn overview(&self, broker: &BrokerId) -> Overview {
        let own = self.report(broker);
        let gathered = self.gather(broker, &Question::Report, own).await;
        let database = if gathered.is_complete {
            self.database(broker).await
        } else {
            // It did not answer just now.
            None
        };
        let parts = &self.0.parts;
        let Gathered {
            answers, silent, ..
        } = gathered;
        Overview {
            at: parts.clock.now(),
            this_instance: parts.instance.to_string(),
            totals: BrokerageTotals::of(answers.iter().map(|(_, report)| report)),
            alerts: alerts(&answers),
            instances: answers
                .into_iter()
                .map(|(instance, report)| (instance, report.instance))
                .collect(),
            silent,
            database,
        }
    }

    /// The threshold of a rule at this instance.
    #[must_use]
    pub fn threshold(&self, rule: RuleName) -> f64 {
        self.0.parts.settings.threshold(rule)
    }

    async fn database(&self, broker: &BrokerId) -> Option<DatabaseState> {
        let read = async |connection: &mut PgConnection| read(connection, broker).await;
        let mut looks = self.0.looks.lock().await;
        let state = looks.run_within(Limit::LOOK, read).await;
        state
            .inspect_err(|error| tracing::warn!(%error, "figures could not be read"))
            .ok()
    }
}

async fn read(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<DatabaseState> {
    let began = Instant::now();
    let log = figures::log(connection, broker).await?;
    let round_trip_ms = began.elapsed().as_secs_f64() * 1_000.0;
    Ok(DatabaseState {
        server: DatabaseFigures::read(connection).await?,
        round_trip_ms,
        log,
        relay: figures::relay(connection, broker).await?,
        tasks: tasks::figures::by_type(connection, broker).await?,
    })
}

impl BrokerageTotals {
    fn of<'a>(reports: impl Iterator<Item = &'a BrokerageReport>) -> Self {
        let mut all = Self::default();
        for report in reports {
            all.add(report);
        }
        all
    }

    fn add(&mut self, report: &BrokerageReport) {
        let (counts, recent) = (&report.counts, &report.recent);
        self.counts.streams += counts.streams;
        self.counts.outputs += counts.outputs;
        self.counts.waiting += counts.waiting;
        self.counts.users += counts.users;
        self.totals.add(&report.totals);
        self.minute.add(&report.minute);
        let rate = |n| rate(n, report.recent_seconds);
        self.published_rate += rate(recent.published);
        self.delivered_rate += rate(recent.delivered());
        self.replayed_rate += rate(recent.replayed);
        self.opened_rate += rate(recent.opened);
        for (reason, n) in &report.closed {
            *self.closed.entry(reason.clone()).or_default() += n;
        }
        for (code, n) in &report.refusals {
            *self.refusals.entry(code.clone()).or_default() += n;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        n as f64 / seconds
    } else {
        0.0
    }
}

/// The alerts of all instances. Those about the brokerage are the same at several of them.
fn alerts(reports: &[(String, BrokerageReport)]) -> Vec<FiringAlert> {
    let (mut all, mut of_brokerage) = (Vec::new(), BTreeMap::<RuleName, Alert>::new());
    for (instance, report) in reports {
        for alert in &report.alerts {
            if alert.rule.rule().scope == RuleScope::Instance {
                all.push(FiringAlert {
                    instance: Some(instance.clone()),
                    alert: alert.clone(),
                });
                continue;
            }
            let merged = of_brokerage.entry(alert.rule);
            let merged = merged.or_insert_with(|| alert.clone());
            merged.since = merged.since.min(alert.since);
            merged.value = merged.value.max(alert.value);
            merged.subjects.extend(alert.subjects.iter().cloned());
            merged.subjects.sort_unstable();
            merged.subjects.dedup();
        }
    }
    let instance = None;
    let of_brokerage = of_brokerage.into_values();
    all.extend(of_brokerage.map(|alert| FiringAlert {
        instance: instance.clone(),
        alert,
    }));
    all.sort_by_key(|firing| firing.alert.since);
    all
}
