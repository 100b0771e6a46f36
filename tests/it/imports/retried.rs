//! Imports that are retried again and again: each goes on where the last one that began has ended.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{WORKING, ann, count, database, ended, upload};
use crate::support::requests::posted;
use crate::support::worker::Worker;
use crate::support::{Service, Token, eventually};

const ROWS: i64 = 5_000;
/// A row that is bad, and its line in the file.
const BAD: (i64, i64) = (7, 8);

fn file() -> String {
    let score = |n| if n == BAD.0 { "bad" } else { "1" };
    let rows = (1..=ROWS).map(|n| format!("Lead {n},{}\n", score(n)));
    format!("Name,Score\n{}", rows.collect::<String>())
}

async fn act(service: &Service, who: &Token, id: &str, verb: &str) -> String {
    let path = format!("/tasks/{id}/{verb}");
    let task = posted(service, who, &path, &json!({})).await;
    task["id"].as_str().expect("an id").to_owned()
}

/// Cancels a task when some of its rows are done, retries it, cancels the retry while it is queued, and retries
/// that. Gives the last one, which has completed.
async fn retried_twice(service: &Service, who: &Token, task: &Value) -> String {
    let first = posted(service, who, "/tasks", task).await;
    let first = first["id"].as_str().expect("an id").to_owned();
    let worker = Worker::start(&service.database.url());
    eventually("some rows are done", async || {
        let mut sql = service.database.connect().await;
        let done = "select coalesce(max(next_row), 0)::bigint from porchlight.imports";
        (count(&mut sql, done).await > 0).then_some(())
    })
    .await;
    act(service, who, &first, "cancel").await;
    assert_eq!(ended(service, who, &first).await["state"], "cancelled");
    worker.kill();
    let second = act(service, who, &first, "retry").await;
    act(service, who, &second, "cancel").await;
    assert_eq!(ended(service, who, &second).await["state"], "cancelled");
    let third = act(service, who, &second, "retry").await;
    let _worker = Worker::start(&service.database.url());
    let task = ended(service, who, &third).await;
    assert_eq!(task["state"], "completed", "{task}");
    third
}

#[tokio::test]
async fn a_retry_of_a_retry_that_never_began_creates_no_record_twice() {
    let (database, mut sql) = database().await;
    let service = Service::on(Arc::clone(&database), &WORKING[1..]).await;
    let ann = ann();
    let file = upload(&service, &ann, file()).await;
    let import = json!({"type": "import_csv", "params": {"module": "leads", "upload": file}});
    let last = retried_twice(&service, &ann, &import).await;
    let task = service.list(&format!("/tasks/{last}"), &ann).await;
    let done = &task["result"];
    assert_eq!(
        (&done["created"], &done["bad"], &done["errors"][0]["line"]),
        (&json!(ROWS - 1), &json!(1), &json!(BAD.1))
    );
    let leads = "select count(*) from porchlight.leads";
    assert_eq!(count(&mut sql, leads).await, ROWS - 1);
}

#[tokio::test]
async fn a_step_of_a_retried_workflow_that_never_began_creates_no_record_twice() {
    let (database, mut sql) = database().await;
    let service = Service::on(Arc::clone(&database), &WORKING[1..]).await;
    let ann = ann();
    let file = upload(&service, &ann, file()).await;
    let import = json!({"type": "import_csv", "params": {"module": "leads", "upload": file}});
    let flow = json!({"type": "flow", "children": [import]});
    retried_twice(&service, &ann, &flow).await;
    let leads = "select count(*) from porchlight.leads";
    assert_eq!(count(&mut sql, leads).await, ROWS - 1);
}
