//! `GET /admin/overview`.

use porchlight::identity::Role;
use serde_json::{Value, json};

use super::{admin, ann, seen};
use crate::support::instances::two;
use crate::support::requests::posted;
use crate::support::sql::run;
use crate::support::{Answer, Service, Token, eventually, for_team};

fn number(value: &Value) -> u64 {
    let number = value.as_u64();
    number.unwrap_or_else(|| panic!("{value} is no number"))
}

#[tokio::test]
async fn the_figures_are_those_of_the_brokerage_over_all_instances() {
    let instances = two(&["--relay-poll-ms=20"]).await;
    let mut streams = Vec::new();
    for instance in &instances {
        let mut stream = instance.stream("/stream/team", &ann()).await;
        assert_eq!(stream.next().await.name, "stream:ready");
        streams.push(stream);
    }
    for n in 0..3 {
        instances[usize::from(n == 1)]
            .publish(&for_team("a", n))
            .await;
        for stream in &mut streams {
            stream.next_logged().await;
        }
    }
    for instance in &instances {
        let nothing = Answer::to(instance.get("/tasks/none", &ann())).await;
        nothing.refused(404, "unknown_task", "a task that is none");
    }
    // An instance measures what it sends live, and counts it after the client has it.
    let overview = eventually("both instances answer, and have counted", async || {
        let mut timed = 0.0;
        for instance in &instances {
            timed += instance
                .metric("porchlight_commit_to_write_seconds_count")
                .await;
        }
        let overview = seen(&instances[0], "/admin/overview").await;
        let answered = overview["instances"].as_array().expect("a list").iter();
        let answered = answered.filter(|instance| instance["answered"] == true);
        let is_counted = timed > 0.0 && overview["latency"]["events"].as_f64() == Some(timed);
        (answered.count() == 2 && is_counted).then_some(overview)
    })
    .await;
    assert_eq!(overview["broker"], "b");
    assert_eq!(overview["streams"]["open"], 2, "{overview:#}");
    assert_eq!(number(&overview["streams"]["opened"]["total"]), 2);
    let events = &overview["events"];
    assert_eq!(number(&events["in"]["total"]), 3);
    assert!(events["in"]["perSecond"].as_f64().expect("a rate") > 0.0);
    assert!(number(&events["out"]["total"]) >= 6, "{events}");
    assert!(events["head"].as_str().expect("a head").starts_with("3-"));
    assert!(events["lastAt"].is_string());
    let latency = &overview["latency"];
    let buckets = latency["buckets"].as_array().expect("a histogram");
    let in_buckets: u64 = buckets.iter().map(|bucket| number(&bucket["events"])).sum();
    assert_eq!(in_buckets, number(&latency["events"]));
    let of = |name: &str| latency[name].as_f64().expect("a time");
    assert!(of("p50Ms") <= of("p99Ms") && of("p99Ms") < 30_000.0);
    assert_eq!(overview["refusals"]["byCode"], json!({"unknown_task": 2}));
    assert_eq!(overview["refusals"]["lastMinute"], 2);
    let database = &overview["database"];
    assert_eq!(database["reachable"], true);
    assert!(number(&database["bytes"]) > 1_000_000 && number(&database["connections"]) > 0);
    let both = overview["instances"].as_array().expect("a list").iter();
    for instance in both {
        assert_eq!(instance["streams"], 1, "{instance}");
        assert_eq!(instance["follower"]["behindEvents"], 0, "{instance}");
        assert!(number(&instance["pool"]["open"]) <= number(&instance["pool"]["most"]));
    }
    // Another brokerage sees nothing of this.
    let other = Token::user("other", &[]).of("c").in_role(Role::Admin);
    let other = Answer::to(instances[1].get("/admin/overview", &other)).await;
    let other = other.json();
    assert_eq!(other["streams"]["open"], 0);
    assert_eq!(other["events"]["in"]["total"], 0);
    assert_eq!(other["events"]["head"], Value::Null);
    assert_eq!(other["refusals"]["byCode"], json!({}));
    // Nobody waits for an instance that has stopped.
    drop(streams);
    let [first, second] = instances;
    second.stop().await;
    let overview = seen(&first, "/admin/overview").await;
    let left = overview["instances"].as_array().expect("a list");
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn tasks_and_the_relay_are_counted() {
    let service = Service::with(&["--relay-poll-ms=60000"]).await;
    for of_type in ["sum", "sum", "mail"] {
        posted(&service, &ann(), "/tasks", &json!({"type": of_type})).await;
    }
    let wes = Token::user("wes", &[]).in_role(Role::Worker);
    let claimed = posted(&service, &wes, "/tasks/claim", &json!({"types": ["mail"]})).await;
    let path = format!(
        "/tasks/{}/fail",
        claimed["task"]["id"].as_str().expect("an id")
    );
    let error = json!({"code": "no_server", "message": "No."});
    let fault = json!({"fence": claimed["fence"], "error": error});
    posted(&service, &wes, &path, &fault).await;
    let overview = seen(&service, "/admin/overview").await;
    let tasks = &overview["tasks"];
    assert_eq!(
        (&tasks["waiting"], &tasks["running"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(tasks["failedLastHour"], 1);
    assert!(tasks["oldestWaitingSeconds"].as_f64().expect("an age") >= 0.0);
    assert_eq!(tasks["byType"].as_array().expect("types").len(), 2);
    let relay = &overview["relay"];
    assert_eq!(
        (&relay["poison"], &relay["bulkChanges"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(overview["rules"].as_array().expect("rules").len(), 14);
    // There are no parameters.
    let strange = Answer::to(service.get("/admin/overview?x=1", &admin())).await;
    strange.refused(400, "invalid_parameter", "a parameter that is none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_an_instance_tells_what_it_knows() {
    let flags = [
        "--alert-interval-ms=100",
        "--alert-database-seconds=1",
        "--poll-ms=200",
        "--unavailable-seconds=60",
    ];
    let service = Service::with(&flags).await;
    let mut stream = service.stream("/stream/team", &ann()).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    let mut sql = service.database.connect().await;
    service.database.allow_connections(false).await;
    let cut = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where datname = current_database() and application_name = 'porchlight'";
    run(&mut sql, cut).await;
    let overview = eventually("the alert fires", async || {
        let overview = seen(&service, "/admin/overview").await;
        let alerts = overview["alerts"].as_array().expect("alerts");
        let mut names = alerts.iter().map(|alert| &alert["name"]);
        let fires = names.any(|name| name == "database_unreachable");
        fires.then_some(overview)
    })
    .await;
    assert_eq!(overview["database"]["reachable"], false);
    assert_eq!(
        (&overview["tasks"], &overview["relay"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(overview["streams"]["open"], 1);
    let connections = seen(&service, "/admin/connections").await;
    assert_eq!(connections["total"], 1);
    service.database.allow_connections(true).await;
}
