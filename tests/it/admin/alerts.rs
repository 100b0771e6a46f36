//! Alerts: rules that the service evaluates all the time.

use std::collections::BTreeSet;
use std::time::Duration;

use porchlight::identity::Role;
use serde_json::Value;

use super::{ann, seen};
use crate::support::sql::run;
use crate::support::{Answer, Service, Token, eventually};

/// The alerts that fire, when these do.
async fn firing(service: &Service, names: &[&str]) -> Vec<Value> {
    let wanted: BTreeSet<_> = names.iter().copied().collect();
    let what = format!("exactly {wanted:?} fire");
    eventually(&what, async || {
        let overview = seen(service, "/admin/overview").await;
        let alerts = overview["alerts"].as_array().expect("alerts").clone();
        let found = alerts
            .iter()
            .map(|alert| alert["name"].as_str().expect("a name"));
        let is_so = found.collect::<BTreeSet<_>>() == wanted;
        let rules = overview["rules"].as_array().expect("rules").iter();
        let marked = rules.filter(|rule| rule["isFiring"] == true).count();
        assert_eq!(marked, alerts.len(), "{overview:#}");
        is_so.then_some(alerts)
    })
    .await
}

#[tokio::test]
async fn an_alert_fires_while_its_threshold_is_exceeded() {
    let service = Service::with(&[
        "--alert-interval-ms=100",
        "--alert-memory-mb=1",
        "--alert-refusals-per-minute=3",
        "--alert-disconnected-seconds=1",
        "--alert-task-wait-seconds=1",
        "--alert-relay-seconds=0",
        "--relay-poll-ms=20",
        "--user-rate=0",
    ])
    .await;
    let memory = firing(&service, &["memory"]).await.remove(0);
    assert!(memory["value"].as_f64() > memory["threshold"].as_f64());
    assert!(memory["instance"].is_string() && memory["action"].is_string());
    let metric = "porchlight_alerts_firing{name=\"memory\"}";
    assert_eq!(service.metric(metric).await, 1.0);
    // A row that is set aside, and discarded.
    let mut sql = service.database.connect().await;
    run(
        &mut sql,
        "insert into porchlight.outbox (broker_id) values ('b')",
    )
    .await;
    let alerts = firing(&service, &["memory", "poison"]).await;
    assert_eq!(alerts[1]["instance"], Value::Null);
    run(&mut sql, "delete from porchlight.poison").await;
    firing(&service, &["memory"]).await;
    // A program that goes, and comes back.
    let crm = Token::user("crm", &["a"]).in_role(Role::Service);
    let mut stream = service.stream("/stream/team", &crm).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    drop(stream);
    let alerts = firing(&service, &["memory", "client_disconnected"]).await;
    let lost = alerts.iter().find(|alert| alert["name"] != "memory");
    let lost = lost.expect("the alert");
    assert_eq!(lost["subjects"], serde_json::json!(["crm"]));
    assert!(lost["value"].as_f64().is_some_and(|away| away >= 1.0));
    let _back = service.stream("/stream/team", &crm).await;
    firing(&service, &["memory"]).await;
    // Refusals and a task that nobody takes.
    for _ in 0..3 {
        let refused = Answer::to(service.get("/tasks/none", &ann())).await;
        assert_eq!(refused.status, 404);
    }
    let task = service.client.post(service.url("/tasks"));
    let task = task.bearer_auth(ann().signed());
    let task = Answer::to(task.json(&serde_json::json!({"type": "sum"}))).await;
    assert_eq!(task.status, 201);
    let all = ["memory", "refusals", "tasks_waiting"];
    let alerts = firing(&service, &all).await;
    let refusals = alerts.iter().find(|alert| alert["name"] == "refusals");
    assert_eq!(
        refusals.expect("the alert")["subjects"],
        serde_json::json!(["unknown_task"])
    );
    // A restart of the interval changes nothing: it began once.
    let since = |alerts: &[Value]| alerts[0]["since"].clone();
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(since(&firing(&service, &all).await), since(&alerts));
}

#[tokio::test]
async fn changes_that_name_no_valid_brokerage_are_an_alert_for_every_admin_until_they_are_deleted()
{
    let service = Service::with(&[
        "--alert-interval-ms=100",
        "--alert-memory-mb=0",
        "--alert-poison-rows=2",
        "--relay-poll-ms=20",
    ])
    .await;
    let mut sql = service.database.connect().await;
    run(
        &mut sql,
        "insert into porchlight.outbox (broker_id) values (null), ('not valid!')",
    )
    .await;
    // Neither of the two reaches the threshold alone.
    let alert = firing(&service, &["poison"]).await.remove(0);
    assert_eq!(alert["value"], 2.0);
    let action = alert["action"].as_str().expect("an action");
    assert!(action.contains("porchlight.poison"), "{action}");
    let metric = "porchlight_alerts_firing{name=\"poison\"}";
    assert_eq!(service.metric(metric).await, 1.0);
    let of_another = Token::user("ann", &["a"]).of("c").in_role(Role::Admin);
    let overview = Answer::to(service.get("/admin/overview", &of_another)).await;
    assert_eq!(overview.json()["alerts"][0]["name"], "poison");

    run(&mut sql, INVALID_ROWS_ARE_DELETED).await;
    firing(&service, &[]).await;
}

/// As docs/TROUBLESHOOTING.md has it.
const INVALID_ROWS_ARE_DELETED: &str = "delete from porchlight.poison
    where broker_id is null or broker_id !~ '^[A-Za-z0-9_.:-]{1,64}$'";
