//! The service's own log: enough to find out what happened, and no flood.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::TestDatabase;
use crate::support::ends::last_words;
use crate::support::requests::client;
use crate::support::service::metric;
use crate::support::{Answer, Process, Stream, Token, eventually, for_team, raw};

/// A process whose log is JSON, and its database.
async fn started() -> (Process, TestDatabase) {
    started_with(&[]).await
}

async fn started_with(more: &[(&str, &str)]) -> (Process, TestDatabase) {
    let database = TestDatabase::create().await;
    let url = database.url();
    let mut variables = vec![
        ("DATABASE_URL", &*url),
        ("PORCHLIGHT_LOG_FORMAT", "json"),
        ("PORCHLIGHT_LOG_LINES_PER_SECOND", "5"),
        ("PORCHLIGHT_DRAIN_SPREAD_SECONDS", "1"),
    ];
    variables.extend(more);
    let process = Process::start("127.0.0.1:0", &variables).await;
    (process, database)
}

/// The lines with this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines = lines.filter(|line: &Value| line["message"] == message);
    lines.collect()
}

fn log(process: &Process) -> String {
    process.log.lock().expect("a log").clone()
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_few_of_them_are_logged() {
    let (mut process, _database) = started().await;
    let client = client(false);
    for n in 0..300 {
        let path = if n < 200 { "/events" } else { "/nowhere" };
        let answer = Answer::to(client.get(process.url(path))).await;
        let expected = if n < 200 { 401 } else { 404 };
        assert_eq!(answer.status, expected);
    }
    let metrics = process.url("/metrics");
    for (code, count) in [("token_missing", 200.0), ("not_found", 100.0)] {
        let name = format!("porchlight_refusals_total{{class=\"4xx\",code=\"{code}\"}}");
        assert_eq!(metric(&metrics, &name).await, count, "{name}");
    }
    process.signal(Signal::SIGTERM);
    assert_eq!(process.exit_code().await, Some(0));
    let log = log(&process);
    let refused = lines(&log, "refused");
    let summed = lines(&log, "more requests were refused");
    for (route, status, count) in [("/events", 401, 200), ("none", 404, 100)] {
        let logged = refused.iter().filter(|line| line["status_code"] == status);
        let logged = u64::try_from(logged.count()).expect("a number");
        let of_kind = summed
            .iter()
            .filter(|line| line["route"] == route && line["status_code"] == status);
        let left_out: u64 = of_kind.filter_map(|line| line["left_out"].as_u64()).sum();
        assert_eq!(logged + left_out, count, "{route}: {summed:?}");
        assert!(logged >= 5 && left_out > 0, "{route}: {logged} logged");
    }
}

#[tokio::test]
async fn a_stream_has_a_line_when_it_opens_and_one_when_it_ends() {
    let (mut process, _database) = started().await;
    let client = client(false);
    let (ann, svc) = (Token::user("ann", &["a"]), Token::service("b"));
    let open = async |path: &str, id: &str| {
        let request = client.get(process.url(path)).header("X-Request-Id", id);
        let mut stream = Stream::open(request.bearer_auth(ann.signed())).await;
        let ready = stream.next().await.json();
        let name = ready["stream"].as_str().expect("a name").to_owned();
        (stream, name)
    };
    let (mut gone, gone_name) = open("/stream/team?team=a", "r-1").await;
    let (mut kept, kept_name) = open("/stream/records/escrows/e-1", "r-2").await;
    let events = json!({"events": [for_team("a", 1), for_team("a", 2)]});
    let request = client
        .post(process.url("/events"))
        .bearer_auth(svc.signed());
    Answer::to(request.json(&events)).await;
    gone.logged(2).await;
    let read = gone.text.len() as u64;
    drop(gone);
    eventually("the end is logged", async || {
        let request = client
            .post(process.url("/events"))
            .bearer_auth(svc.signed());
        let event = for_team("a", 3);
        Answer::to(request.json(&event)).await;
        (lines(&log(&process), "a stream ended").len() == 1).then_some(())
    })
    .await;
    process.signal(Signal::SIGTERM);
    kept.rest().await;
    assert_eq!(process.exit_code().await, Some(0));
    let log = log(&process);
    let of = |message, name: &str| {
        let mut found = lines(&log, message);
        found.retain(|line| line["stream"] == name);
        assert_eq!(found.len(), 1, "{message} {name}: {log}");
        found.remove(0)
    };
    for (name, id, scope) in [
        (&gone_name, "r-1", "team:a"),
        (&kept_name, "r-2", "record:escrows/e-1"),
    ] {
        for message in ["a stream opened", "a stream ended"] {
            let line = of(message, name);
            assert_eq!(
                (&line["id"], &line["broker"], &line["user"], &line["scope"]),
                (&json!(id), &json!("b"), &json!("ann"), &json!(scope)),
                "{line}"
            );
            assert_eq!(line["level"], "INFO");
        }
    }
    let end = of("a stream ended", &gone_name);
    assert_eq!(end["reason"], "disconnected", "{end}");
    assert!(end["events"].as_u64() >= Some(2), "{end}");
    assert!(
        end["bytes"].as_u64() >= Some(read),
        "{end}: {read} were read"
    );
    assert!(end["ms"].is_u64(), "{end}");
    let end = of("a stream ended", &kept_name);
    assert_eq!(
        (&end["reason"], &end["events"]),
        (&json!("drain"), &json!(0))
    );
    assert!(!log.contains(&ann.signed()), "no token in the log");
}

/// The lines about streams that were refused, when two are open and others come: of events and of output.
async fn refusals(setting: &str) -> Vec<Value> {
    let (process, _database) = started_with(&[(setting, "2")]).await;
    let client = client(false);
    let ann = Token::user("ann", &["a"]);
    let open = async |path: &str, id: &str| {
        let request = client.get(process.url(path)).header("X-Request-Id", id);
        Stream::open(request.bearer_auth(ann.signed())).await
    };
    let task = client.post(process.url("/tasks")).bearer_auth(ann.signed());
    let task = Answer::to(task.json(&json!({"type": "x"}))).await.json();
    let output = format!("/tasks/{}/output", task["id"].as_str().expect("an id"));
    let mut first = open("/stream", "r-1").await;
    let mut second = open(&output, "r-2").await;
    assert_eq!(first.next().await.name, "stream:ready");
    assert_eq!(second.next().await.name, "stream:ready");
    for (path, id) in [("/stream", "r-3"), (&*output, "r-4")] {
        let words = last_words(&mut open(path, id).await).await;
        assert_eq!(words["reason"], "overloaded", "{path}");
    }
    eventually("both lines are there", async || {
        let log = log(&process);
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines = lines.filter(|line: &Value| line["reason"] == "overloaded");
        let lines: Vec<_> = lines.collect();
        (lines.len() == 2).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn the_line_about_a_refused_stream_names_the_limit_and_the_brokerage() {
    for (setting, whose) in [
        ("PORCHLIGHT_MAX_STREAMS", "because this instance has"),
        ("PORCHLIGHT_STREAMS_PER_BROKERAGE", "because its brokerage"),
    ] {
        for (line, id) in refusals(setting).await.iter().zip(["r-3", "r-4"]) {
            assert_eq!(
                (&line["id"], &line["broker"]),
                (&json!(id), &json!("b")),
                "{line}"
            );
            assert_eq!(line["level"], "WARN");
            let message = line["message"].as_str().expect("a text");
            assert!(
                message.contains(whose) && message.contains(setting),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn a_line_about_an_error_names_the_request_its_route_and_the_instance() {
    let (mut process, database) = started().await;
    let ann = Token::user("ann", &["a"]);
    let rename = "alter table porchlight.notifications rename to notifications_gone";
    let mut connection = database.connect().await;
    let renamed = sqlx::raw_sql(rename).execute(&mut connection).await;
    renamed.expect("a renamed table");
    let request = client(false)
        .get(process.url("/notifications?limit=5"))
        .header("X-Request-Id", "r-9")
        .bearer_auth(ann.signed());
    assert_eq!(Answer::to(request).await.status, 503);
    process.signal(Signal::SIGTERM);
    assert_eq!(process.exit_code().await, Some(0));
    let log = log(&process);
    let errors = lines(&log, "the database did not serve a request");
    assert_eq!(errors.len(), 1, "{log}");
    let span = &errors[0]["span"];
    assert_eq!(
        (&span["name"], &span["id"], &span["method"], &span["route"]),
        (
            &json!("request"),
            &json!("r-9"),
            &json!("GET"),
            &json!("/notifications")
        ),
        "{span}"
    );
    let instance = span["instance"].as_str().expect("a name");
    let of_tasks = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["span"]["name"] == "background");
    let of_tasks: Vec<_> = of_tasks.collect();
    assert!(
        of_tasks
            .iter()
            .all(|line| line["span"]["instance"] == instance),
        "{log}"
    );
    assert!(!log.contains(&ann.signed()), "no token in the log");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_logged_like_any_refusal_and_not_as_errors() {
    let (mut process, _database) = started().await;
    for _ in 0..60 {
        let answer = raw::exchange_open(process.addr, b"nonsense\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    process.signal(Signal::SIGTERM);
    assert_eq!(process.exit_code().await, Some(0));
    let log = log(&process);
    let refused = lines(&log, "refused");
    let named = |line: &&Value| {
        let code = line["code"].as_str().unwrap_or_default();
        line["status_code"] == 400 && code.starts_with("malformed_request")
    };
    let logged = refused.iter().filter(named).count() as u64;
    let summed = lines(&log, "more requests were refused");
    let left_out = summed.iter().filter(|line| line["route"] == "unreadable");
    let left_out: u64 = left_out.filter_map(|line| line["left_out"].as_u64()).sum();
    assert!(logged >= 5, "{log}");
    assert_eq!(logged + left_out, 60, "{log}");
    assert!(!log.contains("\"ERROR\""), "{log}");
}
