//! The rules for Prometheus: they are valid, every alert fires and stays silent, and none of the service's own is missing.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use porchlight::operations::{AlertSettings, RULES};
use serde_json::Value;

use super::promtool::{metrics_in, promtool, test_rules};
use super::scrape::Scrape;
use super::{file, read};
use crate::support::Service;

const CONFIGURATION: &str = "deploy/prometheus/prometheus.yml";
const RULES_FILE: &str = "deploy/prometheus/rules.yml";
const TESTS: &str = "deploy/prometheus/rules.test.yml";

fn yaml(name: &str) -> Value {
    let text = read(name);
    serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("{key} of {value}"))
}

fn all_rules(rules: &Value) -> impl Iterator<Item = &Value> {
    let groups = list(rules, "groups").iter();
    groups.flat_map(|group| list(group, "rules"))
}

#[test]
fn every_alert_fires_and_stays_silent_in_a_test() {
    let args = ["check", "config"].map(AsRef::as_ref);
    let configuration = file(CONFIGURATION);
    promtool(&[args[0], args[1], configuration.as_ref()]);
    test_rules(&file(TESTS));
    let rules = yaml(RULES_FILE);
    let alerts = all_rules(&rules).filter_map(|rule| rule["alert"].as_str());
    let alerts: BTreeSet<_> = alerts.collect();
    let mut tested: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    let tests = yaml(TESTS);
    for test in list(&tests, "tests") {
        for of_alert in list(test, "alert_rule_test") {
            let (fires, is_silent) = tested.entry(text(of_alert, "alertname")).or_default();
            *fires |= !list(of_alert, "exp_alerts").is_empty();
            *is_silent |= list(of_alert, "exp_alerts").is_empty();
        }
    }
    let tested = tested.into_iter().filter(|(_, both)| *both == (true, true));
    assert_eq!(
        tested.map(|(alert, _)| alert).collect::<BTreeSet<_>>(),
        alerts
    );
}

#[test]
fn every_rule_of_the_service_is_an_alert_of_prometheus() {
    let rules = yaml(RULES_FILE);
    let alerts = all_rules(&rules).filter(|rule| rule["alert"].is_string());
    let mut found = BTreeMap::new();
    for alert in alerts {
        let labels = &alert["labels"];
        let severity = text(labels, "severity");
        assert!(["info", "warning", "critical"].contains(&severity));
        let annotations = &alert["annotations"];
        assert!(!text(annotations, "summary").is_empty());
        if let Some(rule) = labels["rule"].as_str() {
            let action = text(annotations, "action");
            assert!(found.insert(rule, action).is_none(), "{rule} twice");
        }
    }
    let own: BTreeSet<_> = RULES.iter().map(|rule| rule.text_name).collect();
    assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), own);
}

#[derive(Parser)]
struct Thresholds {
    #[command(flatten)]
    settings: AlertSettings,
}

#[test]
fn alerts_begin_at_the_thresholds_of_the_service() {
    let thresholds = Thresholds::parse_from(["alerts"]).settings;
    let rules = yaml(RULES_FILE);
    let mut compared = 0;
    for alert in all_rules(&rules) {
        let rule = RULES
            .iter()
            .find(|rule| alert["labels"]["rule"] == rule.text_name);
        let Some(rule) = rule else { continue };
        // The others take over what the service has decided.
        let Some((_, least)) = text(alert, "expr").split_once(" >= ") else {
            continue;
        };
        let per_unit = match rule.unit {
            "ms" => 1_000.0,
            "%" => 100.0,
            _ => 1.0,
        };
        let least: f64 = least.trim().parse().expect("a number");
        assert_eq!(
            least * per_unit,
            thresholds.threshold(rule.name),
            "{rule:?}"
        );
        compared += 1;
    }
    assert_eq!(compared, 10);
}

#[tokio::test]
async fn rules_and_the_dashboard_use_metrics_that_the_service_shows() {
    let service = Service::start().await;
    let selectable = Scrape::of(&service).await.selectable();
    let rules = yaml(RULES_FILE);
    let expressions = all_rules(&rules).map(|rule| text(rule, "expr").to_owned());
    let expressions = expressions.chain(super::dashboard::expressions());
    let mut used = BTreeSet::new();
    for expression in expressions {
        for metric in metrics_in(&expression) {
            assert!(selectable.contains(metric), "{metric} in {expression}");
            used.insert(metric.to_owned());
        }
    }
    assert!(used.len() > 50, "{used:?}");
    let recorded = all_rules(&rules).filter_map(|rule| rule["record"].as_str());
    let recorded: BTreeSet<_> = recorded.collect();
    let is_recorded = |word: &&str| word.contains(":porchlight_");
    for rule in all_rules(&rules) {
        let words =
            text(rule, "expr").split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
        for word in words.filter(is_recorded) {
            assert!(recorded.contains(word), "{word}");
        }
    }
}
