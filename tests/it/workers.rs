//! The worker of the documentation, run as it is printed there.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::child::ChildProcess;
use crate::support::people::{ann, worker};
use crate::support::requests::posted;
use crate::support::tasks::{ended, whole_output};
use crate::support::{Answer, Service, Token, eventually};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/worker.py");

fn start(service: &Service, who: &Token) -> ChildProcess {
    let mut command = Command::new("python3");
    command
        .arg(FILE)
        .env("PORCHLIGHT_URL", service.url(""))
        .env("PORCHLIGHT_TOKEN", who.signed())
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null());
    let child = ChildProcess::spawn(&mut command);
    child.expect("python3 runs: scripts/setup --test installs it")
}

async fn ask(service: &Service, params: Value) -> String {
    let body = json!({"type": "summarize", "params": params});
    let made = posted(service, &ann(), "/tasks", &body).await;
    made["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_documented_worker_works_is_cancelled_and_survives_what_it_loses() {
    let service = Service::start().await;
    let wes = worker("wes");
    let source = std::fs::read_to_string(FILE).expect("the file");
    assert!(source.lines().count() <= 53, "it is short");
    let _python = start(&service, &wes);
    let id = ask(
        &service,
        json!({"text": "a house with a porch and a light"}),
    )
    .await;
    let mut stream = service.stream(&format!("/tasks/{id}/output"), &ann()).await;
    let task = ended(&service, &ann(), &id).await;
    let summary = "a house with a porch and a light";
    assert_eq!(task["result"], json!({"summary": summary}), "{task}");
    let (text, state) = whole_output(&mut stream).await;
    assert_eq!((text.trim(), state), (summary, json!("completed")));
    for params in [json!({}), json!([]), json!({"text": " "})] {
        let id = ask(&service, params).await;
        let task = ended(&service, &ann(), &id).await;
        assert_eq!(task["error"]["code"], "no_text", "{task}");
    }
    // While it works, its task is asked to end, or is another worker's all of a sudden: it lets go
    // of that one and goes on with the next.
    let lost = ask(&service, json!({"text": "x ".repeat(10)})).await;
    let mut sql = service.database.connect().await;
    let take =
        "update porchlight.tasks set worker_id = 'other' where id = $1 and state = 'running'";
    eventually("it is at work", async || {
        let mut sql = service.database.connect().await;
        let taken = sqlx::query(take).bind(&lost).execute(&mut sql).await;
        (taken.expect("an answer").rows_affected() == 1).then_some(())
    })
    .await;
    let next = ask(&service, json!({"text": "next"})).await;
    assert_eq!(ended(&service, &ann(), &next).await["state"], "completed");
    let found = service.list(&format!("/tasks/{lost}"), &ann()).await;
    assert_eq!(found["state"], "running", "nobody else ended it: {found}");
    let mut cancelled = 0;
    while cancelled == 0 {
        let id = ask(&service, json!({"text": "y ".repeat(10)})).await;
        let begun = "select count(*) from porchlight.tasks where id = $1 and attempt > 0";
        eventually("it is begun", async || {
            let mut sql = service.database.connect().await;
            let begun = sqlx::query_scalar::<_, i64>(begun).bind(&id);
            (begun.fetch_one(&mut sql).await.expect("a count") == 1).then_some(())
        })
        .await;
        posted(&service, &ann(), &format!("/tasks/{id}/cancel"), &json!({})).await;
        // It may have been quicker; then another one is tried.
        cancelled += i32::from(ended(&service, &ann(), &id).await["state"] == "cancelled");
    }
    let reasons = "select count(*) from porchlight.tasks where state = 'cancelled'
        and ended_at < cancel_requested_at + interval '20 seconds'";
    let by_itself: i64 = sqlx::query_scalar(reasons)
        .fetch_one(&mut sql)
        .await
        .expect("a count");
    assert_eq!(by_itself, 1, "it acknowledged, before it was given up");
}

/// Creates a task with a body as text: a client may send what our own JSON library cannot.
async fn ask_with(service: &Service, params: &str) -> String {
    let body = format!("{{\"type\":\"summarize\",\"params\":{params}}}");
    let request = service.client.post(service.url("/tasks"));
    let request = request
        .header("Content-Type", "application/json")
        .body(body);
    let made = Answer::to(request.bearer_auth(ann().signed())).await;
    assert_eq!(made.status, 201);
    let id = made.text.strip_prefix("{\"id\":\"");
    let id = id.and_then(|rest| rest.split('"').next());
    id.expect("an id").to_owned()
}

#[tokio::test]
async fn no_task_ends_the_documented_worker() {
    let service = Service::start().await;
    let wes = worker("wes");
    let mut python = start(&service, &wes);
    let digits = "9".repeat(5_000);
    let mut sql = service.database.connect().await;
    for (params, state, code) in [
        (
            format!(r#"{{"text":"a house","n":{digits}}}"#),
            "completed",
            None,
        ),
        (format!(r#"{{"text":[-{digits}]}}"#), "completed", None),
        (digits.clone(), "failed", Some("no_text")),
        // The output of a task holds no such character: the service refuses it.
        (
            r#"{"text":"a\u0000b"}"#.to_owned(),
            "failed",
            Some("bad_task"),
        ),
        (r#"{"text":"next"}"#.to_owned(), "completed", None),
    ] {
        let task = ask_with(&service, &params).await;
        let ended = "select state, error::jsonb ->> 'code' from porchlight.tasks
            where id = $1 and ended_at is not null";
        let outcome: (String, Option<String>) = eventually("the task ends", async || {
            let mut sql = service.database.connect().await;
            let row = sqlx::query_as(ended).bind(&task);
            row.fetch_optional(&mut sql).await.expect("an answer")
        })
        .await;
        let start: String = params.chars().take(40).collect();
        let expected = (state.to_owned(), code.map(ToOwned::to_owned));
        assert_eq!(outcome, expected, "{start}");
    }
    assert_eq!(python.try_wait(), None, "it runs");
    let attempts = "select max(attempt) from porchlight.tasks";
    let attempts: i32 = sqlx::query_scalar(attempts)
        .fetch_one(&mut sql)
        .await
        .expect("a number");
    assert_eq!(attempts, 1, "no task was tried again");
}
