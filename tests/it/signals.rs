//! Signals: viewers see at once that somebody types, and a moment later that
//! nobody does. Nothing of it is stored.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use tokio::time::Instant;

use crate::support::cluster::TestDatabase;
use crate::support::instances::two;
use crate::support::{Answer, Message, Process, Service, Stream, Token, for_team};

const QUIET: &[&str] = &["--poll-ms=60000", "--streams-per-user=20"];

async fn post_signal(service: &Service, token: &Token, body: &Value) -> Answer {
    let request = service.client.post(service.url("/signals"));
    Answer::to(request.bearer_auth(token.signed()).json(body)).await
}

async fn signal(service: &Service, token: &Token, body: &Value) {
    let answer = post_signal(service, token, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let is_stop = body["name"].as_str().unwrap().starts_with("stopped_");
    let ends_in_ms = if is_stop { 0 } else { 6_000 };
    assert_eq!(answer.json(), json!({"endsInMs": ends_in_ms}));
}

fn on_record(name: &str) -> Value {
    json!({"name": name, "module": "escrows", "recordId": "e-1", "session": "tab-1"})
}

fn on_team(name: &str, team: &str) -> Value {
    json!({"name": name, "team": team})
}

/// An event that makes the record team `a`'s.
fn of_team_a() -> Value {
    json!({"type": "escrow:created", "audience": {"team": "a"}, "module": "escrows",
        "recordId": "e-1", "data": {}})
}

async fn opened(service: &Service, path: &str, token: &Token) -> Stream {
    let mut stream = service.stream(path, token).await;
    assert_eq!(stream.next().await.name, "stream:ready", "{path}");
    stream
}

/// Whether it says that somebody types or does not, and not who is here.
fn is_signal(message: &Message) -> bool {
    message.is_state() && message.data.contains("typing")
}

async fn next_signal(stream: &mut Stream) -> Value {
    loop {
        let message = stream.next_of_all().await;
        if is_signal(&message) {
            return message.json();
        }
    }
}

/// The next event is one of the log: no signal came before it.
async fn assert_no_state_before_a_log_event(stream: &mut Stream) {
    loop {
        let message = stream.next_of_all().await;
        if message.is_logged() {
            return;
        }
        assert!(!is_signal(&message), "{message:?}");
    }
}

async fn assert_nothing_is_kept(service: &Service, events: i64) {
    let mut database = service.database.connect().await;
    let rows = sqlx::query("select count(*) from porchlight.events")
        .fetch_one(&mut database)
        .await;
    assert_eq!(rows.unwrap().get::<i64, _>(0), events);
    let head = sqlx::query("select coalesce(max(head), 0) from porchlight.brokers")
        .fetch_one(&mut database)
        .await;
    assert_eq!(head.unwrap().get::<i64, _>(0), events);
}

#[tokio::test]
async fn whoever_may_see_the_record_sees_who_types_at_any_instance_and_nobody_else_does() {
    let instances = two(QUIET).await;
    instances[0].publish(&of_team_a()).await;
    let [me, mate] = [Token::user("u", &["a"]), Token::user("v", &["a", "c"])];
    let [other, stranger] = [Token::user("w", &["z"]), Token::user("v", &["a"]).of("c")];
    let record = "/stream/records/escrows/e-1";
    let (mut see, mut do_not) = (Vec::new(), Vec::new());
    for instance in &instances {
        for path in ["/stream", "/stream/team", "/stream/team?team=a", record] {
            see.push(opened(instance, path, &mate).await);
        }
        see.push(opened(instance, "/stream?types=user:typing", &me).await);
        see.push(opened(instance, "/stream?records=escrows/e-1", &mate).await);
        do_not.push(opened(instance, "/stream", &other).await);
        do_not.push(opened(instance, record, &other).await);
        do_not.push(opened(instance, "/stream", &stranger).await);
        do_not.push(opened(instance, "/stream/team?team=c", &mate).await);
        do_not.push(opened(instance, "/stream/user", &mate).await);
        do_not.push(opened(instance, "/stream?types=escrow:*,test:*", &mate).await);
    }
    signal(&instances[0], &me, &on_record("typing")).await;
    for stream in &mut see {
        let received = stream.next_state("user:typing").await;
        assert_eq!(received["type"], "user:typing");
        assert_eq!(received["action"], "typing");
        assert_eq!(
            (&received["module"], &received["recordId"]),
            (&json!("escrows"), &json!("e-1"))
        );
        assert_eq!(received["userId"], "u");
        assert!(received["timestamp"].is_string());
        assert_eq!(
            received["data"],
            json!({"session": "tab-1", "endsInMs": 6_000})
        );
    }
    assert_nothing_is_kept(&instances[0], 1).await;
    for team in ["z", "c"] {
        instances[1].publish(&for_team(team, 1)).await;
    }
    let for_mate = json!({"type": "test:tick", "audience": {"user": "v"}, "module": "escrows",
        "recordId": "e-1"});
    instances[1].publish(&for_mate).await;
    instances[1]
        .publish(&json!({"type": "test:tick", "audience": {"team": "z"},
        "module": "escrows", "recordId": "e-1"}))
        .await;
    instances[1].post("c", &for_team("a", 1)).await;
    for stream in &mut do_not {
        assert_no_state_before_a_log_event(stream).await;
    }
}

#[tokio::test]
async fn a_record_without_events_belongs_to_the_whole_brokerage() {
    let instances = two(QUIET).await;
    let me = Token::user("u", &["a"]);
    let mut streams = [
        opened(&instances[1], "/stream", &Token::user("w", &["z"])).await,
        opened(&instances[1], "/stream/broker", &Token::user("w", &["z"])).await,
        opened(&instances[1], "/stream/team", &Token::user("v", &["a"])).await,
        opened(&instances[1], "/stream/user", &me).await,
    ];
    signal(&instances[0], &me, &on_record("typing")).await;
    signal(&instances[0], &me, &on_record("stopped_typing")).await;
    for stream in &mut streams {
        stream.next_state("user:typing").await;
        let received = stream.next_state("user:stopped_typing").await;
        assert_eq!(
            received["data"],
            json!({"session": "tab-1", "reason": "said"})
        );
        assert_eq!(
            (&received["recordId"], &received["userId"]),
            (&json!("e-1"), &json!("u"))
        );
    }
}

#[tokio::test]
async fn a_team_sees_who_types_to_it_and_another_does_not() {
    let instances = two(QUIET).await;
    let me = Token::user("u", &["a", "c"]);
    let mut mates = Vec::new();
    let mut others = Vec::new();
    for instance in &instances {
        for path in ["/stream", "/stream/team"] {
            mates.push(opened(instance, path, &Token::user("v", &["a"])).await);
            others.push(opened(instance, path, &Token::user("w", &["c"])).await);
        }
    }
    signal(&instances[1], &me, &on_team("typing", "a")).await;
    for stream in &mut mates {
        let received = stream.next_state("user:typing").await;
        assert_eq!(received["data"], json!({"team": "a", "endsInMs": 6_000}));
        assert_eq!(
            (&received["userId"], &received["module"]),
            (&json!("u"), &Value::Null)
        );
    }
    instances[0].publish(&for_team("c", 1)).await;
    for stream in &mut others {
        assert_no_state_before_a_log_event(stream).await;
    }
}

#[tokio::test]
async fn it_ends_by_itself_six_seconds_after_the_last_renewal_at_every_instance() {
    let instances = two(QUIET).await;
    let (me, mate) = (Token::user("u", &["a"]), Token::user("v", &["a"]));
    let mut streams = Vec::new();
    for instance in &instances {
        streams.push(opened(instance, "/stream/team", &mate).await);
    }
    signal(&instances[0], &me, &on_team("typing", "a")).await;
    for stream in &mut streams {
        stream.next_state("user:typing").await;
    }
    // A renewal, at the other instance, a good while later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let renewed_at = Instant::now();
    signal(&instances[1], &me, &on_team("typing", "a")).await;
    for stream in &mut streams {
        assert_eq!(next_signal(stream).await["type"], "user:typing");
        let ended = next_signal(stream).await;
        assert_eq!(ended["type"], "user:stopped_typing");
        assert_eq!(ended["data"], json!({"team": "a", "reason": "ended"}));
        assert!(renewed_at.elapsed() >= Duration::from_millis(5_500));
    }
    assert!(renewed_at.elapsed() < Duration::from_secs(9));
    assert_nothing_is_kept(&instances[0], 0).await;
}

#[tokio::test]
async fn a_stop_is_sent_at_once_and_only_once() {
    let instances = two(QUIET).await;
    let (me, mate) = (Token::user("u", &["a"]), Token::user("v", &["a"]));
    let mut streams = Vec::new();
    for instance in &instances {
        streams.push(opened(instance, "/stream/team", &mate).await);
    }
    // Nothing is active yet, so nothing is sent.
    signal(&instances[0], &me, &on_team("stopped_typing", "a")).await;
    signal(&instances[0], &me, &on_team("typing", "a")).await;
    for stream in &mut streams {
        assert_eq!(next_signal(stream).await["type"], "user:typing");
    }
    let stopped_at = Instant::now();
    signal(&instances[1], &me, &on_team("stopped_typing", "a")).await;
    signal(&instances[0], &me, &on_team("stopped_typing", "a")).await;
    for stream in &mut streams {
        let received = next_signal(stream).await;
        assert_eq!(received["data"], json!({"team": "a", "reason": "said"}));
    }
    assert!(stopped_at.elapsed() < Duration::from_secs(3));
    // Beyond the time at which it would have ended by itself.
    tokio::time::sleep_until(stopped_at + Duration::from_millis(6_800)).await;
    instances[0].publish(&for_team("a", 1)).await;
    for stream in &mut streams {
        assert_no_state_before_a_log_event(stream).await;
    }
}

#[tokio::test]
async fn many_signals_at_once_are_sent_once_a_second_and_leave_no_trace_in_the_log() {
    let instances = two(QUIET).await;
    let (me, mate) = (Token::user("u", &["a"]), Token::user("v", &["a"]));
    instances[0].publish(&of_team_a()).await;
    let mut streams = Vec::new();
    for instance in &instances {
        streams.push(opened(instance, "/stream/team", &mate).await);
    }
    let began = Instant::now();
    for n in 0..20 {
        let mut body = on_record("typing");
        body["session"] = json!(format!("tab-{n}"));
        signal(&instances[0], &me, &body).await;
    }
    let took = began.elapsed();
    signal(&instances[0], &me, &on_team("typing", "a")).await;
    for stream in &mut streams {
        let (mut received, mut last) = (0, Value::Null);
        loop {
            let state = next_signal(stream).await;
            if state["type"] == "user:stopped_typing" && state["recordId"] == "e-1" {
                break;
            }
            if state["recordId"] == "e-1" {
                received += 1;
                last = state["data"]["session"].clone();
            }
        }
        let most = 2 + u64::try_from(took.as_millis()).unwrap() / 1_000;
        assert!((2..=most).contains(&received), "{received} in {took:?}");
        assert_eq!(last, "tab-19");
    }
    assert_nothing_is_kept(&instances[0], 1).await;
    assert!(instances[0].metric("porchlight_signals_total").await > 20.0);
    assert!(instances[1].metric("porchlight_signals_total").await < 1.0);
}

#[tokio::test]
async fn an_invalid_signal_is_refused_with_its_field_and_sent_to_nobody() {
    let service = Service::with(&["--signals=typing,on-call"]).await;
    let foreign = json!({"type": "escrow:created", "audience": {"team": "z"},
        "module": "escrows", "recordId": "e-z"});
    service.publish(&foreign).await;
    let me = Token::user("u", &["a"]);
    let mut stream = opened(&service, "/stream", &Token::user("v", &["a", "z"])).await;
    let long = "x".repeat(65);
    let of = |field: &str, value: Value| {
        let mut body = on_record("typing");
        body[field] = value;
        body
    };
    let invalid = (400, "invalid_body");
    for (body, (status, code), field) in [
        (json!([]), invalid, None),
        (json!({}), invalid, Some("name")),
        (
            json!({"module": "escrows", "recordId": "e-1"}),
            invalid,
            Some("name"),
        ),
        (of("name", json!(7)), invalid, Some("name")),
        (of("name", Value::Null), invalid, Some("name")),
        (of("name", json!("")), (400, "unknown_signal"), Some("name")),
        (
            of("name", json!("Typing")),
            (400, "unknown_signal"),
            Some("name"),
        ),
        (
            of("name", json!("stopped_")),
            (400, "unknown_signal"),
            Some("name"),
        ),
        (
            of("name", json!("stopped_stopped_typing")),
            (400, "unknown_signal"),
            Some("name"),
        ),
        (json!({"name": "typing"}), invalid, Some("module")),
        (
            json!({"name": "typing", "session": "tab"}),
            invalid,
            Some("module"),
        ),
        (
            json!({"name": "typing", "module": "escrows"}),
            invalid,
            Some("recordId"),
        ),
        (
            json!({"name": "typing", "recordId": "e-1"}),
            (400, "module_missing"),
            Some("module"),
        ),
        (of("team", json!("a")), invalid, Some("team")),
        (
            json!({"name": "typing", "team": "a", "module": "escrows"}),
            invalid,
            Some("team"),
        ),
        (
            json!({"name": "typing", "team": "a", "recordId": "e-1"}),
            invalid,
            Some("team"),
        ),
        (
            of("module", json!("rockets")),
            (400, "unknown_module"),
            Some("module"),
        ),
        (
            of("module", json!("escrow")),
            (400, "unknown_module"),
            Some("module"),
        ),
        (of("module", json!("es crows")), invalid, Some("module")),
        (of("module", json!({})), invalid, Some("module")),
        (of("module", json!(long)), invalid, Some("module")),
        (of("recordId", json!(long)), invalid, Some("recordId")),
        (of("recordId", json!("")), invalid, Some("recordId")),
        (of("recordId", json!(1)), invalid, Some("recordId")),
        (
            of("recordId", json!("e-z")),
            (404, "unknown_record"),
            Some("recordId"),
        ),
        (of("session", json!(long)), invalid, Some("session")),
        (of("session", json!("a\nb")), invalid, Some("session")),
        (of("session", json!(["a"])), invalid, Some("session")),
        (of("userId", json!("v")), invalid, Some("userId")),
        (on_team("typing", &long), invalid, Some("team")),
        (on_team("typing", ""), invalid, Some("team")),
        (
            json!({"name": "typing", "team": true}),
            invalid,
            Some("team"),
        ),
        (on_team("typing", "z"), (404, "unknown_team"), Some("team")),
        (
            on_team("stopped_typing", "nobodys"),
            (404, "unknown_team"),
            Some("team"),
        ),
    ] {
        let answer = post_signal(&service, &me, &body).await;
        let named = answer.refused(status, code, &body.to_string());
        assert_eq!(named.as_deref(), field, "{body}: {}", answer.text);
    }
    let words = post_signal(&service, &me, &on_team("x", "a")).await;
    for word in ["typing", "stopped_typing", "on-call", "stopped_on-call"] {
        assert!(words.text.contains(word), "{}", words.text);
    }
    let request = || service.client.post(service.url("/signals"));
    let body = on_team("typing", "a").to_string();
    Answer::to(request().body(body.clone()))
        .await
        .refused(401, "token_missing", "no token");
    let plain = request().bearer_auth(me.signed()).body(body);
    Answer::to(plain)
        .await
        .refused(415, "unsupported_media_type", "no JSON");
    service.publish(&for_team("a", 1)).await;
    assert_no_state_before_a_log_event(&mut stream).await;
    assert_nothing_is_kept(&service, 2).await;
    // And a name of the deployment's own.
    signal(&service, &me, &on_team("on-call", "a")).await;
    stream.next_state("user:on-call").await;
    signal(&service, &me, &on_team("stopped_on-call", "a")).await;
    stream.next_state("user:stopped_on-call").await;
}

#[tokio::test]
async fn one_user_has_so_many_signals_and_room_again_when_some_are_over() {
    const MOST: usize = 20;
    let service = Service::start().await;
    let teams: Vec<_> = (0..=MOST).map(|n| format!("t{n}")).collect();
    let names: Vec<_> = teams.iter().map(String::as_str).collect();
    let me = Token::user("u", &names);
    for team in &names[..MOST] {
        signal(&service, &me, &on_team("typing", team)).await;
    }
    let answer = post_signal(&service, &me, &on_team("typing", names[MOST])).await;
    assert_eq!(
        answer.refused(429, "too_many_signals", "one too many"),
        None
    );
    assert_eq!(answer.header("retry-after"), "1");
    let mate = Token::user("v", &names);
    signal(&service, &mate, &on_team("typing", names[MOST])).await;
    signal(&service, &me, &on_team("stopped_typing", "t0")).await;
    crate::support::eventually("there is room again", async || {
        let answer = post_signal(&service, &me, &on_team("typing", names[MOST])).await;
        (answer.status == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_dies_leaves_nobody_typing() {
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url[..])]).await;
    let survivor = Service::on(Arc::clone(&database), QUIET).await;
    let (me, mate) = (Token::user("u", &["a"]), Token::user("v", &["a"]));
    let mut stream = opened(&survivor, "/stream", &mate).await;
    let request = survivor.client.post(process.url("/signals"));
    let request = request.bearer_auth(me.signed());
    let began = Instant::now();
    let answer = Answer::to(request.json(&on_team("typing", "a"))).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    stream.next_state("user:typing").await;
    process.kill();
    let received = stream.next_state("user:stopped_typing").await;
    assert_eq!(received["data"], json!({"team": "a", "reason": "ended"}));
    let after = began.elapsed();
    assert!(
        after >= Duration::from_millis(5_500) && after < Duration::from_secs(9),
        "{after:?}"
    );
}
