//! Tasks: created by users, done by workers, published to those that may know.

mod children;
mod invalid_input;
mod isolation;
mod losing;
mod model;
mod output;
mod output_streams;
mod progress;
mod turns;
mod waiting;

use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::instances::two;
use crate::support::people::{admin, ann, worker};
use crate::support::requests::post;
use crate::support::{Answer, Service, Stream, Token};

/// Short times, so that ends come soon.
const QUICK: &[&str] = &[
    "--task-lease-min-seconds=1",
    "--task-lease-seconds=2",
    "--task-cancel-seconds=1",
    "--task-backoff-ms=100",
];

/// Creates a task, and gives the answer.
async fn create(service: &Service, who: &Token, body: Value) -> Value {
    let made = post(service, who, "/tasks", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// The id of an ordinary new task.
async fn task(service: &Service, who: &Token) -> String {
    let made = create(service, who, json!({"type": "import", "title": "Import"})).await;
    id(&made)
}

fn id(task: &Value) -> String {
    task["id"].as_str().expect("an id").to_owned()
}

/// What a claim gives: the task's id and the fence.
async fn claim(service: &Service, who: &Token) -> (String, i64) {
    let body = json!({"types": ["import"], "leaseSeconds": 60});
    let claimed = post(service, who, "/tasks/claim", &body).await;
    assert_eq!(claimed.status, 200, "{}", claimed.text);
    let claimed = claimed.json();
    (
        id(&claimed["task"]),
        claimed["fence"].as_i64().expect("a fence"),
    )
}

/// A worker's request about its task.
async fn say(service: &Service, who: &Token, task: &str, what: &str, body: Value) -> Answer {
    post(service, who, &format!("/tasks/{task}/{what}"), &body).await
}

async fn get(service: &Service, who: &Token, task: &str) -> Value {
    service.list(&format!("/tasks/{task}"), who).await
}

/// The name of the next event of a task, without progress.
async fn next_event(stream: &mut Stream) -> String {
    loop {
        let message = stream.next_logged().await;
        if message.name != "ai:task:progress" {
            return message.name.replace("ai:task:", "");
        }
    }
}

#[tokio::test]
async fn a_task_goes_from_its_user_to_a_worker_and_back() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let mut user = b.stream("/stream/user?types=ai:*", &ann).await;
    let mut team = a.stream("/stream/team", &Token::user("bob", &["a"])).await;
    let mut workers = b.stream("/stream/worker", &wes).await;
    let params = json!({"file": "escrows.csv"});
    let body = json!({"type": "import", "title": "Import", "params": params, "team": "a"});
    let made = create(a, &ann, body).await;
    let id = id(&made);
    assert_eq!(
        (&made["state"], &made["attempt"]),
        (&json!("queued"), &json!(0))
    );
    let offer = workers.next_logged().await;
    assert_eq!(offer.name, "ai:task:available");
    assert_eq!(
        offer.json()["data"],
        json!({"taskId": id, "taskType": "import"})
    );
    let claimed = post(
        b,
        &wes,
        "/tasks/claim",
        &json!({"types": ["other", "import"]}),
    )
    .await;
    let claimed = claimed.json();
    assert_eq!(claimed["task"]["params"], params);
    assert_eq!(
        (&claimed["fence"], &claimed["task"]["id"]),
        (&json!(1), &json!(id))
    );
    let none = post(a, &wes, "/tasks/claim", &json!({"types": ["import"]})).await;
    assert_eq!(none.status, 204, "nobody else gets it");
    let report = json!({"fence": 1, "percent": 40, "step": 2, "steps": 5,
        "message": "Creating escrow 2 of 5", "partial": {"found": 3}});
    let answer = say(a, &wes, &id, "progress", report).await;
    assert_eq!(
        (answer.status, &answer.json()["cancel"]),
        (200, &json!(false))
    );
    let result = json!({"imported": 5});
    let done = say(
        b,
        &wes,
        &id,
        "complete",
        json!({"fence": 1, "result": result}),
    )
    .await;
    // It was queued, started and reported on before.
    let expected = json!({"taskId": id, "state": "completed", "version": 4});
    assert_eq!(done.json(), expected);
    for stream in [&mut user, &mut team] {
        let events = stream.logged(4).await;
        let names: Vec<_> = events.iter().map(|e| &e.name[8..]).collect();
        assert_eq!(names, ["queued", "started", "progress", "completed"]);
        let data = |n: usize| events[n].json()["data"].clone();
        assert_eq!(data(0)["title"], "Import");
        assert_eq!(
            (&data(1)["state"], &data(1)["attempt"]),
            (&json!("running"), &json!(1))
        );
        assert_eq!(data(2)["percent"], 40);
        assert_eq!(
            (&data(2)["step"], &data(2)["steps"]),
            (&json!(2), &json!(5))
        );
        assert_eq!(data(2)["partial"], json!({"found": 3}));
        assert_eq!(
            (&data(3)["result"], &data(3)["percent"]),
            (&result, &json!(100))
        );
        let versions: Vec<_> = events.iter().map(|e| e.json()["version"].clone()).collect();
        assert_eq!(versions, [1, 2, 3, 4]);
    }
    let found = get(a, &ann, &id).await;
    assert_eq!(
        (&found["state"], &found["result"]),
        (&json!("completed"), &result)
    );
    assert_eq!((&found["params"], &found["version"]), (&params, &json!(4)));
    assert_eq!(found["message"], "Creating escrow 2 of 5");
    assert!(
        found["endedAt"].is_string() && found["partial"].is_null(),
        "{found}"
    );
}

#[tokio::test]
async fn a_cancel_reaches_the_worker_at_once_and_with_its_next_report() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let mut user = a.stream("/stream/user?types=ai:*", &ann).await;
    let mut workers = b
        .stream("/stream/worker?types=ai:task:cancelling", &wes)
        .await;
    workers.next().await;
    let mut latencies = Vec::new();
    for _ in 0..20 {
        let id = task(a, &ann).await;
        let (_, fence) = claim(b, &wes).await;
        let asked = tokio::time::Instant::now();
        let cancelled = post(a, &ann, &format!("/tasks/{id}/cancel"), &json!({})).await;
        assert_eq!(
            cancelled.json()["state"],
            "cancelling",
            "{}",
            cancelled.text
        );
        let seen_change = workers.next_logged().await;
        latencies.push(asked.elapsed());
        let expected = json!({"taskId": id, "taskType": "import", "fence": fence});
        assert_eq!(seen_change.json()["data"], expected);
        let again = post(b, &ann, &format!("/tasks/{id}/cancel"), &json!({})).await;
        assert_eq!(
            (again.status, &again.json()["state"]),
            (200, &json!("cancelling"))
        );
        let answer = say(a, &wes, &id, "progress", json!({"fence": fence})).await;
        assert_eq!(answer.json()["cancel"], true, "{}", answer.text);
        let stopped = say(b, &wes, &id, "cancelled", json!({"fence": fence})).await;
        assert_eq!(stopped.json()["state"], "cancelled", "{}", stopped.text);
        let late = say(
            a,
            &wes,
            &id,
            "progress",
            json!({"fence": fence, "percent": 99}),
        )
        .await;
        late.refused(409, "lease_lost", "a report after the end");
        assert_eq!(late.json()["reason"], "cancelled");
        for expected in ["queued", "started", "cancelling", "cancelled"] {
            assert_eq!(next_event(&mut user).await, expected);
        }
    }
    let ended = a
        .list("/events?scope=user&types=ai:task:cancelled", &ann)
        .await;
    // The event names the user that cancelled, not the worker.
    assert_eq!(ended["events"][0]["userId"], "ann", "{ended}");
    latencies.sort();
    let median = latencies[latencies.len() / 2];
    assert!(median.as_millis() < 100, "{latencies:?}");
}

#[tokio::test]
async fn what_was_cancelled_while_it_was_completed_has_completed() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let id = task(a, &ann).await;
    let (_, fence) = claim(b, &wes).await;
    let path = format!("/tasks/{id}/cancel");
    assert_eq!(
        post(a, &ann, &path, &json!({})).await.json()["state"],
        "cancelling"
    );
    let done = say(b, &wes, &id, "complete", json!({"fence": fence})).await;
    assert_eq!(done.json()["state"], "completed");
    let late = post(a, &ann, &path, &json!({})).await;
    late.refused(409, "wrong_state", "a cancel after the end");
    assert_eq!(late.json()["state"], "completed");
}

#[tokio::test]
async fn what_was_cancelled_while_it_failed_is_cancelled_if_it_would_have_gone_on() {
    let [a, b] = &two(&[]).await;
    let (ann, wes) = (ann(), worker("wes"));
    for (retryable, expected) in [(true, "cancelled"), (false, "failed")] {
        let id = task(a, &ann).await;
        let (_, fence) = claim(a, &wes).await;
        let path = format!("/tasks/{id}/cancel");
        let asked = post(b, &ann, &path, &json!({})).await;
        assert_eq!(asked.json()["state"], "cancelling", "{}", asked.text);
        let error = json!({"code": "busy", "message": "Later.", "retryable": retryable});
        let body = json!({"fence": fence, "error": error});
        let failed = say(b, &wes, &id, "fail", body).await;
        assert_eq!(failed.json()["state"], expected, "{}", failed.text);
    }
}

#[tokio::test]
async fn errors_that_may_pass_are_tried_again_until_attempts_run_out() {
    let [a, b] = &two(QUICK).await;
    let (ann, wes) = (ann(), worker("wes"));
    let mut user = a.stream("/stream/user?types=ai:*", &ann).await;
    let made = create(a, &ann, json!({"type": "import", "maxAttempts": 2})).await;
    let id = id(&made);
    let error = json!({"code": "rate_limited", "message": "Later.", "retryable": true});
    let (_, fence) = claim(a, &wes).await;
    let failed = say(
        b,
        &wes,
        &id,
        "fail",
        json!({"fence": fence, "error": error}),
    )
    .await;
    assert_eq!(failed.json()["state"], "queued", "{}", failed.text);
    let lost = say(b, &wes, &id, "progress", json!({"fence": fence})).await;
    lost.refused(409, "lease_lost", "a report on what is given back");
    assert_eq!(lost.json()["reason"], "expired");
    let body = json!({"types": ["import"], "waitSeconds": 20});
    let claimed = post(b, &wes, "/tasks/claim", &body).await.json();
    assert_eq!(
        (&claimed["task"]["id"], &claimed["fence"]),
        (&json!(id), &json!(2))
    );
    let stale = say(b, &wes, &id, "complete", json!({"fence": 1})).await;
    stale.refused(409, "lease_lost", "the first attempt's fence");
    assert_eq!(stale.json()["reason"], "claimed");
    let failed = say(a, &wes, &id, "fail", json!({"fence": 2, "error": error})).await;
    assert_eq!(failed.json()["state"], "failed");
    let events = user.logged(5).await;
    let names: Vec<_> = events.iter().map(|e| &e.name[8..]).collect();
    assert_eq!(names, ["queued", "started", "queued", "started", "failed"]);
    for n in [2, 4] {
        assert_eq!(events[n].json()["data"]["error"], error);
    }
    // Done again by its user, once.
    let path = format!("/tasks/{id}/retry");
    let again = post(a, &ann, &path, &json!({})).await;
    assert_eq!(again.status, 201, "{}", again.text);
    let again = again.json();
    assert_eq!(
        (&again["retryOf"], &again["attempt"]),
        (&json!(id), &json!(0))
    );
    let twice = post(b, &ann, &path, &json!({})).await;
    twice.refused(409, "already_retried", "a second retry");
}

#[tokio::test]
async fn the_database_holds_every_move_to_the_same_table() {
    use porchlight::tasks::TaskState;
    let [a, _] = &two(QUICK).await;
    let mut connection = a.database.connect().await;
    for is_workflow in [false, true] {
        for from in TaskState::ALL {
            for to in TaskState::ALL.into_iter().filter(|to| *to != from) {
                let sql = moved(from, to, is_workflow);
                let outcome = connection.execute(sqlx::AssertSqlSafe(sql)).await;
                let is_legal = from.may_become(to, is_workflow);
                let refused = outcome.as_ref().err().map(ToString::to_string);
                assert_eq!(
                    refused.is_none(),
                    is_legal,
                    "{from} {to} {is_workflow}: {refused:?}"
                );
                if let Err(error) = outcome {
                    let error = error.as_database_error().expect("a refusal");
                    assert_eq!(error.constraint(), Some("task_moves_legally"));
                }
            }
        }
    }
}

/// A statement that makes a task, brings it to a state, and moves it on.
fn moved(
    from: porchlight::tasks::TaskState,
    to: porchlight::tasks::TaskState,
    workflow: bool,
) -> String {
    let set = |before: &str, state: &str| {
        let works = matches!(state, "running" | "cancelling") && !workflow;
        let lease = if works {
            "'w', 1, now()"
        } else {
            "null, null, null"
        };
        let over = matches!(state, "completed" | "failed" | "cancelled");
        let ended = if over { "now()" } else { "null" };
        let error = if state == "failed" { "'{}'" } else { "null" };
        let claims = before == "queued" && state == "running" && !workflow;
        format!(
            "update porchlight.tasks set state = '{state}', (worker_id, lease_seconds, lease_until)
                 = ({lease}), ended_at = {ended}, error = {error}, cancel_requested_at = now(),
                 cancel_requested_by = 'ann',
                 attempt = attempt + {} where id = 't';",
            i32::from(claims),
        )
    };
    let (from, to) = (from.as_str(), to.as_str());
    let way = match from {
        "queued" => String::new(),
        "running" => set("queued", "running"),
        from => set("queued", "running") + &set("running", from),
    };
    format!(
        "do $$ begin
             delete from porchlight.tasks;
             insert into porchlight.tasks (broker_id, id, user_id, type, params, max_attempts,
                 created_at, is_workflow) values ('b', 't', 'u', 'x', '{{}}', 3, now(), {workflow});
             {way} {} end $$",
        set(from, to)
    )
}

#[tokio::test]
async fn a_key_makes_a_retry_safe() {
    let [a, b] = &two(QUICK).await;
    let ann = ann();
    let body = json!({"type": "import", "idempotencyKey": "k-1"});
    let first = create(a, &ann, body.clone()).await;
    let again = post(b, &ann, "/tasks", &body).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &first["id"]));
    let other = json!({"type": "export", "idempotencyKey": "k-1"});
    post(a, &ann, "/tasks", &other)
        .await
        .refused(409, "idempotency_key_reused", "another body");
    // Another user's key is another key.
    let bob = create(b, &Token::user("bob", &[]), body.clone()).await;
    assert_ne!(bob["id"], first["id"]);
    let header = |key: &str| {
        let request = a.client.post(a.url("/tasks")).bearer_auth(ann.signed());
        Answer::to(request.header("Idempotency-Key", key).json(&body))
    };
    assert_eq!(header("k-1").await.json()["id"], first["id"]);
    header("k-2")
        .await
        .refused(400, "invalid_body", "a header and a body that differ");
    // Many at once: one task.
    let body = json!({"type": "import", "idempotencyKey": "k-3"});
    let requests = (0..10).map(|n| post(if n % 2 == 0 { a } else { b }, &ann, "/tasks", &body));
    let answers = futures_util::future::join_all(requests).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let ids: std::collections::BTreeSet<_> = answers.iter().map(|a| id(&a.json())).collect();
    assert_eq!((created, ids.len()), (1, 1), "{answers:?}");
}

#[tokio::test]
async fn pages_have_every_task_once_from_new_to_old() {
    let [a, b] = &two(QUICK).await;
    let ann = ann();
    let mut ids = Vec::new();
    for n in 0..12 {
        let kind = if n % 3 == 0 { "export" } else { "import" };
        let params = json!({"large": "x".repeat(100)});
        ids.push(id(&create(
            a,
            &ann,
            json!({"type": kind, "params": params}),
        )
        .await));
    }
    ids.reverse();
    let (mut seen, mut path) = (Vec::new(), "/tasks?limit=5".to_owned());
    loop {
        let answer = Answer::to(b.get(&path, &ann)).await;
        assert!(!answer.header("stream-position").is_empty());
        let page = answer.json();
        for task in page["tasks"].as_array().unwrap() {
            assert!(task["params"].is_null(), "a list is bounded: {task}");
            seen.push(id(task));
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/tasks?limit=5&cursor={next}");
    }
    assert_eq!(seen, ids);
    let count = async |query: &str| {
        let page = a.list(&format!("/tasks?{query}"), &ann).await;
        page["tasks"].as_array().unwrap().len()
    };
    assert_eq!(count("type=export").await, 4);
    assert_eq!(count("type=export&state=running").await, 0);
    assert_eq!(count("state=queued&user=bob").await, 0);
}
