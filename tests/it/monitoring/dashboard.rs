//! The dashboard for Grafana.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::promtool::check_rules;
use super::read;

const DASHBOARD: &str = "deploy/grafana/porchlight.json";

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.clone()
}

/// The expressions of all panels, with values for the variables.
pub(super) fn expressions() -> Vec<String> {
    let mut all = Vec::new();
    for panel in panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression.replace("$__rate_interval", "1m");
            let expression = expression.replace("$instance", ".*").replace("$job", "j");
            assert!(!expression.contains('$'), "{expression}");
            all.push(expression);
        }
    }
    all
}

#[test]
fn every_expression_of_the_dashboard_is_one() {
    let expressions = expressions();
    assert!(expressions.len() > 60);
    let rules = expressions.iter().enumerate();
    let rules = rules.map(|(n, expr)| json!({"record": format!("a{n}"), "expr": expr}));
    let group = json!({"name": "dashboard", "rules": rules.collect::<Vec<_>>()});
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("dashboard.yml");
    // JSON is YAML.
    let rules = json!({"groups": [group]});
    std::fs::write(&file, rules.to_string()).expect("a file");
    check_rules(&file);
}

#[test]
fn panels_are_described_and_lie_beside_each_other() {
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels() {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_i64().expect("an id")), "{title}");
        let at = |key: &str| panel["gridPos"][key].as_i64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title} lies on another");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let description = panel["description"].as_str().expect("a description");
        assert!(description.ends_with('.'), "{title}: {description}");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}");
    }
}
