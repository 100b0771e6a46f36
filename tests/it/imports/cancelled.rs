//! Imports that end early: cancelled, given back, retried.

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{WORKING, ann, ask, count, database, ended, output, post, result, upload};
use crate::support::worker::Worker;
use crate::support::{Service, eventually};

/// A service that does not work, with its short times.
fn idle() -> Vec<&'static str> {
    WORKING[1..].to_vec()
}

fn rows(n: usize) -> String {
    let rows = (1..=n).map(|n| format!("Lead {n},{}\n", if n == 7 { "bad" } else { "1" }));
    format!("Name,Score\n{}", rows.collect::<String>())
}

/// Waits until some rows are imported, and not all.
async fn until_begun(service: &Service) {
    eventually("some rows are done", async || {
        let mut sql = service.database.connect().await;
        let done = "select coalesce(max(next_row), 0)::bigint from porchlight.imports";
        (count(&mut sql, done).await > 0).then_some(())
    })
    .await;
}

const LEADS: &str = "select count(*) from porchlight.leads";
const NAMES: &str = "select count(distinct name) from porchlight.leads";

#[tokio::test]
async fn a_cancelled_import_stops_between_batches_and_its_retry_goes_on() {
    let service = Service::with(WORKING).await;
    let ann = ann();
    let file = upload(&service, &ann, rows(10_000)).await;
    let id = ask(&service, &ann, json!({"module": "leads", "upload": file})).await;
    until_begun(&service).await;
    let asked = post(&service, &ann, &format!("/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(asked.json()["state"], "cancelling", "{}", asked.text);
    let task = ended(&service, &ann, &id).await;
    assert_eq!(task["state"], "cancelled", "{task}");
    let mut sql = service.database.connect().await;
    let created = count(&mut sql, LEADS).await;
    assert!((1..9_999).contains(&created), "{created}");
    let partial = &task["partial"];
    assert_eq!(
        (&partial["created"], &partial["bad"]),
        (&json!(created), &json!(1))
    );
    let again = post(&service, &ann, &format!("/tasks/{id}/retry"), &json!({})).await;
    let again = again.json()["id"].as_str().unwrap().to_owned();
    let done = result(&ended(&service, &ann, &again).await);
    assert_eq!((&done["created"], &done["bad"]), (&json!(9_999), &json!(1)));
    assert_eq!(done["errors"][0]["line"], 8, "{done}");
    assert_eq!(output(&service, &ann, &again).await.len(), 1);
    let counts = (count(&mut sql, LEADS).await, count(&mut sql, NAMES).await);
    assert_eq!(counts, (9_999, 9_999));
}

#[tokio::test]
async fn a_worker_that_is_stopped_gives_its_task_back_at_once() {
    let (database, mut sql) = database().await;
    // Leases are long here: nobody waits for the end of one.
    let service = Service::on(Arc::clone(&database), &["--task-lease-min-seconds=600"]).await;
    let ann = ann();
    let file = upload(&service, &ann, rows(10_000)).await;
    let id = ask(&service, &ann, json!({"module": "leads", "upload": file})).await;
    let mut worker = Worker::start(&database.url());
    until_begun(&service).await;
    let until = "update porchlight.tasks set lease_until = lease_until + interval '1 hour'";
    sqlx::query(until).execute(&mut sql).await.unwrap();
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit_code().await, Some(0));
    let task = service.list(&format!("/tasks/{id}"), &ann).await;
    assert_eq!(
        (&task["state"], &task["error"]["code"], &task["attempt"]),
        (&json!("queued"), &json!("worker_stopped"), &json!(1))
    );
    assert_eq!(task["runAfter"], Value::Null, "{task}");
    let _worker = Worker::start(&database.url());
    let done = result(&ended(&service, &ann, &id).await);
    assert_eq!(
        (&done["created"], &done["rows"]),
        (&json!(9_999), &json!(10_000))
    );
    let counts = (count(&mut sql, LEADS).await, count(&mut sql, NAMES).await);
    assert_eq!(counts, (9_999, 9_999));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing_more() {
    let (database, mut sql) = database().await;
    let service = Service::on(Arc::clone(&database), &idle()).await;
    let ann = ann();
    let file = upload(&service, &ann, rows(10_000)).await;
    let id = ask(&service, &ann, json!({"module": "leads", "upload": file})).await;
    let late = Worker::start(&database.url());
    until_begun(&service).await;
    late.signal(Signal::SIGSTOP);
    eventually("its lease is over", async || {
        let task = service.list(&format!("/tasks/{id}"), &ann).await;
        (task["state"] == "queued").then_some(())
    })
    .await;
    let _other = Worker::start(&database.url());
    eventually("another one is at it", async || {
        let task = service.list(&format!("/tasks/{id}"), &ann).await;
        (task["attempt"].as_i64() >= Some(2)).then_some(())
    })
    .await;
    late.signal(Signal::SIGCONT);
    let task = ended(&service, &ann, &id).await;
    assert_eq!(result(&task)["created"], 9_999, "{task}");
    let counts = (count(&mut sql, LEADS).await, count(&mut sql, NAMES).await);
    assert_eq!(counts, (9_999, 9_999));
}
