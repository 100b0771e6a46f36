//! Publishing: what is sent is delivered as it is, all of it or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::Executor;

use crate::support::cluster::TestDatabase;
use crate::support::sql::until_counted;
use crate::support::{Answer, Service, Token, for_team};

/// What is sent, and what is delivered where the two differ: white space, and nothing else.
const LITERALS: &[(&str, &str)] = &[
    ("395000.00", "395000.00"),
    ("-0.0", "-0.0"),
    ("1E+2", "1E+2"),
    (
        "123456789012345678901234567890",
        "123456789012345678901234567890",
    ),
    ("0.1234567890123456789012345", "0.1234567890123456789012345"),
    ("9007199254740993", "9007199254740993"),
    ("1e400", "1e400"),
    (r#""""#, r#""""#),
    (r#""\u0000""#, r#""\u0000""#),
    (r#""\u0041\/\b\f\n\r\t\"\\""#, r#""\u0041\/\b\f\n\r\t\"\\""#),
    (r#""\ud83c\udfe1""#, r#""\ud83c\udfe1""#),
    (r#""\ud800""#, r#""\ud800""#),
    (
        "\"Zürich 家 🏡 \u{2028}\u{2029}\u{85}\u{feff}\"",
        "\"Zürich 家 🏡 \u{2028}\u{2029}\u{85}\u{feff}\"",
    ),
    ("\"data: x\\nid: 7\\n\\n\"", "\"data: x\\nid: 7\\n\\n\""),
    ("[ 1 ,\r\n\t2 ]", "[1,2]"),
    (
        "{\n  \"a\" : \" two  spaces \"\n}",
        "{\"a\":\" two  spaces \"}",
    ),
    (
        r#"{"b":1,"a":2,"b":3,"":null}"#,
        r#"{"b":1,"a":2,"b":3,"":null}"#,
    ),
    ("false", "false"),
    ("[]", "[]"),
];

#[derive(Deserialize)]
struct PublishedEvent {
    data: Box<RawValue>,
    changes: Box<RawValue>,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<PublishedEvent>,
}

fn literal(json: &str) -> (String, String) {
    let received: PublishedEvent = serde_json::from_str(json).expect("an event");
    (
        received.data.get().to_owned(),
        received.changes.get().to_owned(),
    )
}

#[tokio::test]
async fn what_is_published_is_read_to_the_letter_everywhere() {
    let database = Arc::new(TestDatabase::create().await);
    let token = Token::user("u", &["a"]);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let mut live = service.stream("/stream", &token).await;
    for (sent, _) in LITERALS {
        let body = format!(
            "{{ \"type\":\"t\",\n\"audience\":{{\"team\":\"a\"}}, \"data\": {sent} ,\"changes\":{sent}}}"
        );
        let request = service.client.post(service.url("/events")).body(body);
        let request = request.header("content-type", "application/json");
        let answer = Answer::to(request.bearer_auth(Token::service("b").signed())).await;
        assert_eq!(answer.status, 201, "{sent}: {}", answer.text);
    }
    let all: Vec<_> = LITERALS
        .iter()
        .map(|(_, received)| ((*received).to_owned(), (*received).to_owned()))
        .collect();
    let n = all.len();
    let read = |messages: Vec<crate::support::Message>| -> Vec<_> {
        messages
            .iter()
            .map(|message| literal(&message.data))
            .collect()
    };
    assert_eq!(read(live.logged(n).await), all, "live");
    let mut memory = service.stream("/stream?since=0", &token).await;
    assert_eq!(read(memory.logged(n).await), all, "from memory");
    service.stop().await;
    let service = Service::on(database, &[]).await;
    let mut table = service.stream("/stream?since=0", &token).await;
    assert_eq!(read(table.logged(n).await), all, "from the table");
    let page = Answer::to(service.get("/events?after=0", &token)).await;
    let page: Page = serde_json::from_str(&page.text).expect("a page");
    let raw = |received: &PublishedEvent| {
        (
            received.data.get().to_owned(),
            received.changes.get().to_owned(),
        )
    };
    let page: Vec<_> = page.events.iter().map(raw).collect();
    assert_eq!(page, all, "as a page");
}

#[tokio::test]
async fn every_field_of_an_event_is_delivered() {
    let service = Service::start().await;
    let mut stream = service.stream("/stream", &Token::user("u", &["a"])).await;
    stream.next().await;
    let event = json!({"type": "escrow:price:updated", "audience": {"user": "u"}, "module": "escrows",
        "recordId": "e-1", "userId": "u-9", "version": 7, "data": {"a": 1}, "changes": {"b": 2}});
    let position = service.publish(&event).await.pop().unwrap();
    let received = stream.next().await;
    assert_eq!(
        (&received.name[..], &received.id),
        ("escrow:price:updated", &position)
    );
    let mut received = received.json();
    let timestamp = received["timestamp"].take();
    let timestamp = timestamp.as_str().expect("a time");
    assert!(
        timestamp.len() == 24 && timestamp.ends_with('Z'),
        "{timestamp}"
    );
    assert_eq!(
        received,
        json!({"type": "escrow:price:updated", "module": "escrows", "action": "updated",
        "recordId": "e-1", "data": {"a": 1}, "changes": {"b": 2}, "version": 7, "userId": "u-9", "timestamp": null})
    );
    // What is left out is left out, and who did it is the caller.
    service
        .publish(&json!({"type": "t", "audience": {"team": "a"}, "data": null}))
        .await;
    let received = stream.next().await.json();
    let fields: Vec<_> = received
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, ["action", "timestamp", "type", "userId"]);
    assert_eq!(received["userId"], "svc");
}

#[tokio::test]
async fn a_batch_is_published_as_a_whole_or_not_at_all() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let good: Vec<_> = (0..999).map(|n| for_team("a", n)).collect();
    for bad in [
        json!({"type": "hb", "audience": {"team": "a"}}),
        json!({"type": "t", "audience": {"team": ""}}),
        json!({"type": "t", "audience": {"team": "a"}, "recordId": "r"}),
        json!({"type": "t", "audience": {"team": "a"}, "data": "x".repeat(70_000)}),
    ] {
        let events: Vec<_> = good.iter().cloned().chain([bad]).collect();
        let answer = service.post("b", &json!({"events": events})).await;
        assert!(matches!(answer.status, 400 | 413));
    }
    assert_eq!(service.list("/events", &token).await["events"], json!([]));
    let events: Vec<_> = good.into_iter().chain([for_team("a", 999)]).collect();
    let positions = service.publish(&json!({"events": events})).await;
    let epoch = positions[0].split_once('-').unwrap().1;
    let expected: Vec<_> = (1..=1_000).map(|n| format!("{n}-{epoch}")).collect();
    assert_eq!(positions, expected);
}

#[tokio::test]
async fn positions_are_contiguous_whoever_publishes_at_the_same_time() {
    let database = Arc::new(TestDatabase::create().await);
    let services = [
        Service::on(Arc::clone(&database), &[]).await,
        Service::on(database, &[]).await,
    ];
    let mut requests = Vec::new();
    for n in 0..60_u64 {
        let service = &services[usize::from(n % 2 == 0)];
        let broker = ["b", "c", "d"][usize::try_from(n % 3).unwrap()];
        let events: Vec<_> = (0..=n % 7).map(|m| for_team("a", m)).collect();
        requests.push(async move {
            let answer = service.post(broker, &json!({"events": events})).await;
            assert_eq!(answer.status, 201);
            (broker, answer.json()["positions"].clone())
        });
    }
    let mut seen = [
        ("b", BTreeSet::new()),
        ("c", BTreeSet::new()),
        ("d", BTreeSet::new()),
    ];
    for (broker, positions) in futures_util::future::join_all(requests).await {
        let positions = positions
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_str().unwrap());
        let positions: Vec<u64> = positions
            .map(|p| p.split('-').next().unwrap().parse().unwrap())
            .collect();
        assert!(
            positions.windows(2).all(|two| two[1] == two[0] + 1),
            "{positions:?}"
        );
        let all = &mut seen.iter_mut().find(|(name, _)| *name == broker).unwrap().1;
        assert!(
            positions.iter().all(|position| all.insert(*position)),
            "twice: {positions:?}"
        );
    }
    for (broker, positions) in seen {
        let n = u64::try_from(positions.len()).unwrap();
        assert!(
            n >= 60 && positions.into_iter().eq(1..=n),
            "a gap at {broker}"
        );
    }
}

/// The log takes nothing more.
const FILL: &str = "create function public.refuse() returns trigger language plpgsql as $$
        begin raise 'could not extend file' using errcode = 'disk_full'; end $$;
    create trigger full_disk before insert on porchlight.events
        for each row execute function public.refuse()";
const FREE: &str = "drop trigger full_disk on porchlight.events";

#[tokio::test]
async fn without_space_nothing_is_published_and_the_publisher_learns_that() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    sql.execute(FILL).await.expect("a full disk");
    let publish = async |key: Option<&str>| {
        let request = service.client.post(service.url("/events"));
        let request = request.bearer_auth(Token::service("b").signed());
        let request = key.into_iter().fold(request, |request, key| {
            request.header("idempotency-key", key)
        });
        Answer::to(request.json(&for_team("a", 1))).await
    };
    for key in [None, Some("k")] {
        let answer = publish(key).await;
        answer.refused(503, "database_unavailable", "a full disk");
    }
    sql.execute(FREE).await.expect("space");
    let answer = publish(Some("k")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let listed = service.list("/events", &Token::user("u", &["a"])).await;
    assert_eq!(listed["events"].as_array().map(Vec::len), Some(1));
}

/// Whether somebody waits for a lock in this database.
const WAITING: &str = "select least(count(*), 1) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'";

/// As an instance that is stuck in a transaction, or somebody at a prompt, would do.
#[tokio::test]
async fn a_log_that_is_held_does_not_stop_those_of_others() {
    let service = Service::start().await;
    let event = json!({"type": "test:a", "audience": {"broker": true}});
    for broker in ["b", "c"] {
        assert_eq!(service.post(broker, &event).await.status, 201);
    }
    let mut sql = service.database.connect().await;
    let hold = "begin; select from porchlight.brokers where broker_id = 'b' for update";
    sql.execute(hold).await.expect("it is held");
    let mut looking = service.database.connect().await;
    let is_done = AtomicBool::new(false);
    // Each is refused after a moment, so they are repeated: however slow the machine is, some wait.
    let of_held_log = async {
        while !is_done.load(Relaxed) {
            for answer in join_all((0..8).map(|_| service.post("b", &event))).await {
                answer.refused(503, "busy", "it is held");
            }
        }
    };
    let others = async {
        until_counted(&mut looking, WAITING, 1).await;
        for _ in 0..3 {
            assert_eq!(service.post("c", &event).await.status, 201);
        }
        is_done.store(true, Relaxed);
    };
    tokio::join!(of_held_log, others);
    sql.execute("rollback").await.expect("it is free");
    assert_eq!(service.post("b", &event).await.status, 201);
}

#[tokio::test]
async fn nobody_waits_for_logs_of_others_that_are_known_to_be_held() {
    let service = Service::start().await;
    let event = json!({"type": "test:a", "audience": {"broker": true}});
    let of_others = ["b1", "b2", "b3", "b4", "b5"];
    for broker in of_others.iter().chain(&["c"]) {
        assert_eq!(service.post(broker, &event).await.status, 201);
    }
    let mut sql = service.database.connect().await;
    let hold = "begin; select from porchlight.brokers where broker_id like 'b%' for update";
    sql.execute(hold).await.expect("they are held");
    let publish = || join_all(of_others.iter().map(|broker| service.post(broker, &event)));
    for answer in publish().await {
        answer.refused(503, "busy", "it is held");
    }
    let mut looking = service.database.connect().await;
    let (is_done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let of_held_logs = async {
        while !is_done.load(Relaxed) {
            for answer in publish().await {
                answer.refused(503, "busy", "it is held");
            }
            rounds.fetch_add(1, Relaxed);
        }
    };
    let others = async {
        until_counted(&mut looking, WAITING, 1).await;
        for _ in 0..12 {
            assert_eq!(service.post("c", &event).await.status, 201);
        }
        is_done.store(true, Relaxed);
    };
    tokio::join!(of_held_logs, others);
    // A round takes a second, 200 ms for each log. Nobody else waited for one.
    assert!(rounds.load(Relaxed) < 6, "{rounds:?} rounds");
    sql.execute("rollback").await.expect("they are free");
    for answer in publish().await {
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}
