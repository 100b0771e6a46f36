//! The alerts that are firing at this instance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::rules::{RULES, RuleName};
use crate::platform::{BrokerId, Metrics};

/// Alerts that fire at a time. Further ones are not noted.
const MOST: usize = 1_000;
/// Subjects of an alert that are told.
const MOST_SUBJECTS: usize = 20;

/// A threshold that is exceeded now.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    pub(super) rule: RuleName,
    /// `None`: it is about this instance, or about all brokerages.
    pub(super) broker: Option<BrokerId>,
    pub(super) value: f64,
    pub(super) threshold: f64,
    /// Whom or what it is about.
    pub(super) subjects: Vec<String>,
}

/// An alert that is firing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub rule: RuleName,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    pub value: f64,
    pub threshold: f64,
    pub subjects: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AlertKey {
    rule: RuleName,
    broker: Option<BrokerId>,
}

pub(super) struct AlertBoard {
    metrics: Arc<Metrics>,
    alerts: Mutex<BTreeMap<AlertKey, Alert>>,
}

impl AlertBoard {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let alerts = Mutex::default();
        Self { metrics, alerts }
    }

    /// The alerts about a brokerage, and those that are not about one of them.
    pub(super) fn firing(&self, broker: &BrokerId) -> Vec<Alert> {
        let alerts = self.alerts();
        let told = alerts.iter().filter(|(key, _)| {
            let of = key.broker.as_ref();
            of.is_none_or(|of| of == broker)
        });
        told.map(|(_, alert)| alert.clone()).collect()
    }

    /// From now on, exactly these breaches are alerts. Their beginnings and ends are logged.
    pub(super) fn update(&self, breaches: Vec<Breach>, now: OffsetDateTime) {
        let mut alerts = self.alerts();
        let mut before = std::mem::take(&mut *alerts);
        for breach in breaches.into_iter().take(MOST) {
            let Breach {
                rule,
                broker,
                value,
                threshold,
                mut subjects,
            } = breach;
            subjects.truncate(MOST_SUBJECTS);
            let key = AlertKey { rule, broker };
            let since = before.remove(&key).map(|alert| alert.since);
            if since.is_none() {
                log_begin(&key, value, threshold);
            }
            let alert = Alert {
                rule,
                since: since.unwrap_or(now),
                value,
                threshold,
                subjects,
            };
            alerts.insert(key, alert);
        }
        before.keys().for_each(log_end);
        for rule in RULES {
            let firing = alerts.keys().filter(|key| key.rule == rule.name).count();
            let gauge = &self.metrics.alerts_firing;
            let gauge = gauge.get_or_create(&[("name", rule.text_name)]);
            gauge.set(i64::try_from(firing).unwrap_or(i64::MAX));
        }
    }

    fn alerts(&self) -> MutexGuard<'_, BTreeMap<AlertKey, Alert>> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_begin(key: &AlertKey, value: f64, threshold: f64) {
    let rule = key.rule.rule();
    let (alert, unit, broker) = (rule.text_name, rule.unit, key.broker.as_ref());
    let broker = broker.map(BrokerId::as_str);
    tracing::warn!(
        alert,
        broker,
        value,
        threshold,
        unit,
        action = rule.action,
        "an alert fires: {}",
        rule.text
    );
}

fn log_end(key: &AlertKey) {
    let broker = key.broker.as_ref().map(BrokerId::as_str);
    tracing::info!(
        alert = key.rule.rule().text_name,
        broker,
        "an alert is over"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_lasts_as_long_as_its_breach_and_belongs_to_its_brokerage() {
        let metrics = Metrics::new();
        let board = AlertBoard::new(Arc::clone(&metrics));
        let broker = |name: &str| -> BrokerId { name.parse().unwrap() };
        let breach = |rule, of: Option<&str>, value| Breach {
            rule,
            broker: of.map(broker),
            value,
            threshold: 1.0,
            subjects: vec!["u".to_owned(); 100],
        };
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let poison = |value| breach(RuleName::Poison, Some("b"), value);
        let memory = breach(RuleName::Memory, None, 2.0);
        board.update(vec![poison(1.0), memory.clone()], at(1));
        board.update(vec![poison(3.0), memory.clone()], at(2));
        let of_b = board.firing(&broker("b"));
        assert_eq!(of_b.len(), 2);
        let alert = of_b.iter().find(|alert| alert.rule == RuleName::Poison);
        let alert = alert.unwrap();
        assert_eq!((alert.since, alert.subjects.len()), (at(1), MOST_SUBJECTS));
        assert!(alert.value > 2.0);
        assert_eq!(board.firing(&broker("c")).len(), 1, "the instance's");
        let gauge = |board: &AlertBoard| {
            let alerts = &board.metrics.alerts_firing;
            alerts.get_or_create(&[("name", "poison")]).get()
        };
        assert_eq!(gauge(&board), 1);
        board.update(vec![memory], at(3));
        assert_eq!((board.firing(&broker("b")).len(), gauge(&board)), (1, 0));
        board.update(vec![poison(1.0)], at(4));
        assert_eq!(board.firing(&broker("b"))[0].since, at(4));
    }
}
