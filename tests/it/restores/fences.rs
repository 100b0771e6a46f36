//! Locks, tasks and revocations after the epochs were renewed.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::people::{admin, agent, worker};
use crate::support::requests::send;
use crate::support::{Answer, Service, Stream, Token, eventually};

/// More grants than this are not lost.
const GRANTS: u64 = 1_000_000_000;
const ATTEMPTS: u64 = 1_000;

async fn post(service: &Service, who: &Token, path: &str, body: Value) -> Answer {
    send(service, who, Method::POST, path, &body).await
}

async fn lock(service: &Service, record: &str) -> u64 {
    let body = json!({"module": "escrows", "recordId": record, "session": "tab-1"});
    let answer = post(service, &agent("u"), "/locks", body).await;
    answer.json()["fence"].as_u64().expect("a fence")
}

async fn claim(service: &Service) -> Value {
    let body = json!({"types": ["report"], "leaseSeconds": 60});
    let answer = post(service, &worker("w"), "/tasks/claim", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn renew(service: &Service) {
    let mut sql = service.database.connect().await;
    let renew = "select porchlight.renew_epochs()";
    sql.execute(renew).await.expect("renewed");
}

#[tokio::test]
async fn no_fence_of_a_lock_is_given_again() {
    let service = Service::start().await;
    let before = lock(&service, "e-1").await;
    renew(&service).await;
    // Another record may have been locked in the lost time.
    assert!(lock(&service, "e-2").await > GRANTS);
    let (path, ann) = ("/locks/escrows/e-1?session=tab-1", agent("u"));
    let answer = send(&service, &ann, Method::DELETE, path, &Value::Null).await;
    assert_eq!(answer.status, 204);
    assert!(lock(&service, "e-1").await > before + GRANTS);
    let twice = lock(&service, "e-3").await;
    renew(&service).await;
    assert!(lock(&service, "e-4").await > twice + GRANTS);
}

#[tokio::test]
async fn no_fence_of_a_task_is_given_again_and_its_attempts_are_left() {
    let service = Service::start().await;
    let task = json!({"type": "report", "maxAttempts": 2});
    let task = post(&service, &agent("u"), "/tasks", task).await.json();
    let id = task["id"].as_str().expect("an id");
    let before = claim(&service).await["fence"].as_u64().expect("a fence");
    let path = format!("/tasks/{id}/output");
    let text = json!({"fence": before, "offset": 0, "text": "abc"});
    let written = post(&service, &worker("w"), &path, text).await;
    assert_eq!(written.status, 200, "{}", written.text);
    renew(&service).await;
    // The attempt of this number may have written another text in the lost time.
    let request = service
        .get(&path, &agent("u"))
        .header("Last-Event-ID", "1-3");
    let restart = Stream::open(request).await.next_output().await;
    assert_eq!(restart.name, "restart", "{}", restart.data);
    let progress = format!("/tasks/{id}/progress");
    let late = post(
        &service,
        &worker("w"),
        &progress,
        json!({"fence": before, "percent": 5}),
    )
    .await;
    late.refused(409, "lease_lost", "a worker of the lost time");
    let mut sql = service.database.connect().await;
    let over = "update porchlight.tasks set lease_until = clock_timestamp() - interval '1 second'";
    sql.execute(over).await.expect("the lease is over");
    eventually("the task waits again", async || {
        let task = service.list(&format!("/tasks/{id}"), &agent("u")).await;
        (task["state"] == "queued").then_some(())
    })
    .await;
    let at_once = "update porchlight.tasks set run_after = null";
    sql.execute(at_once).await.expect("it waits no longer");
    let again = claim(&service).await["fence"].as_u64().expect("a fence");
    assert!(again > before + ATTEMPTS, "{again}");
    // That was the second of two attempts.
    let failed = json!({"fence": again, "error": {"code": "c", "message": "m", "retryable": true}});
    let answer = post(&service, &worker("w"), &format!("/tasks/{id}/fail"), failed).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let task = service.list(&format!("/tasks/{id}"), &agent("u")).await;
    assert_eq!(task["state"], "failed", "{task}");
}

#[tokio::test]
async fn an_instance_that_runs_hears_of_later_revocations() {
    let service = Service::start().await;
    let revoke = async |user: &str| {
        let body = json!({"user": user});
        let answer = post(&service, &admin(&["a"]), "/sessions/revoke", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    revoke("x").await;
    let other = Service::on(std::sync::Arc::clone(&service.database), &[]).await;
    // The numbers begin where they were in the backup, and go on behind those that instances have read.
    let mut sql = service.database.connect().await;
    let set_back = "update porchlight.session_head set head = 0";
    sql.execute(set_back).await.expect("it is set back");
    renew(&service).await;
    // Signed once: one that is signed later is good.
    let token = agent("u").signed();
    revoke("u").await;
    eventually("the other instance refuses the token", async || {
        let session = other.client.get(other.url("/session"));
        let answer = Answer::to(session.bearer_auth(&token)).await;
        (answer.status == 401).then_some(())
    })
    .await;
}
