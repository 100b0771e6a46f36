//! In which order writes with keys lock what they share: what they change, the count of keys, and the log. In any
//! other order two of them would wait for each other.

use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};

use super::asked;
use crate::support::Service;
use crate::support::people::ann;
use crate::support::sql::{free_writes, hold_writes, run, until_held};

const HEAD: &str = "select from porchlight.brokers for update nowait";
const KEYS: &str = "select from porchlight.quota_use where kind = 'keys' for update nowait";

/// Sends a write with a key while nobody can change the counts of `held`. Gives the answer, and whether these rows were
/// free while the write waited.
async fn free_meanwhile(
    service: &Service,
    held: &str,
    rows: &'static str,
    path: &str,
    body: Value,
) -> ((u16, Value, bool), bool) {
    let ann = ann();
    let mut sql = service.database.connect().await;
    let writes =
        format!("insert or update on porchlight.quota_use for each row when (new.kind = '{held}')");
    hold_writes(&mut sql, &writes).await;
    tokio::join!(asked(service, &ann, path, &body), async {
        until_held(&mut sql).await;
        let is_free = sql.execute(rows).await.is_ok();
        free_writes(&mut sql).await;
        is_free
    })
}

/// A task of Ann's, with a key: the path to cancel it.
async fn path_to_cancel(service: &Service) -> String {
    let (status, task, _) = asked(service, &ann(), "/tasks", &json!({"type": "sum"})).await;
    assert_eq!(status, 201, "{task}");
    format!("/tasks/{}/cancel", task["id"].as_str().expect("an id"))
}

async fn keys(sql: &mut PgConnection) -> i64 {
    let used = "select used from porchlight.quota_use where kind = 'keys' and user_id = 'ann'";
    sqlx::query_scalar(used)
        .fetch_one(sql)
        .await
        .expect("a count")
}

#[tokio::test]
async fn marking_as_read_counts_its_key_before_it_locks_the_log() {
    let service = Service::start().await;
    let note = json!({"audience": {"user": "ann"}, "level": "info", "title": "t"});
    let (_, note, _) = asked(&service, &ann(), "/notifications", &note).await;
    let one = format!("/notifications/{}/read", note["id"]);
    let read = free_meanwhile(&service, "keys", HEAD, &one, json!({}));
    let ((status, first, _), is_free) = read.await;
    assert!(status == 200 && is_free, "{status} {first}");
    let again = asked(&service, &ann(), &one, &json!({})).await;
    assert_eq!(again, (200, first, true));
    assert_eq!(keys(&mut service.database.connect().await).await, 2);
}

#[tokio::test]
async fn cancelling_a_task_counts_the_task_before_the_key() {
    let service = Service::start().await;
    let path = path_to_cancel(&service).await;
    let cancel = free_meanwhile(&service, "tasks", KEYS, &path, json!({}));
    let ((status, task, _), is_free) = cancel.await;
    assert!(status == 200 && is_free, "{status} {task}");
    let again = asked(&service, &ann(), &path, &json!({})).await;
    assert_eq!(again, (200, task, true));
}

#[tokio::test]
async fn a_key_that_is_a_day_old_is_counted_once_and_at_the_end() {
    let service = Service::start().await;
    path_to_cancel(&service).await;
    let mut sql = service.database.connect().await;
    let age =
        "update porchlight.idempotency_keys set created_at = created_at - interval '25 hours'";
    run(&mut sql, age).await;
    let count = || json!({"type": "count"});
    let create = free_meanwhile(&service, "tasks", KEYS, "/tasks", count());
    let ((status, task, _), is_free) = create.await;
    assert!(status == 201 && is_free, "{status} {task}");
    let (status, again, is_repeat) = asked(&service, &ann(), "/tasks", &count()).await;
    assert_eq!((status, is_repeat, &again["id"]), (200, true, &task["id"]));
    assert_eq!(keys(&mut sql).await, 1);
}
