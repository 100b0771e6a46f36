//! Publishing: what is sent is what is told, all of it or nothing, and once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Service, Token, for_team};

/// What is sent, and what is told where the two differ: white space, and nothing else.
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
struct Told {
    data: Box<RawValue>,
    changes: Box<RawValue>,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Told>,
}

fn literal(json: &str) -> (String, String) {
    let told: Told = serde_json::from_str(json).expect("an event");
    (told.data.get().to_owned(), told.changes.get().to_owned())
}

#[tokio::test]
async fn what_is_published_is_told_to_the_letter_wherever_it_is_read() {
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
        .map(|(_, told)| ((*told).to_owned(), (*told).to_owned()))
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
    let raw = |told: &Told| (told.data.get().to_owned(), told.changes.get().to_owned());
    let page: Vec<_> = page.events.iter().map(raw).collect();
    assert_eq!(page, all, "as a page");
}

#[tokio::test]
async fn every_field_of_an_event_is_told() {
    let service = Service::start().await;
    let mut stream = service.stream("/stream", &Token::user("u", &["a"])).await;
    stream.next().await;
    let event = json!({"type": "escrow:price:updated", "audience": {"user": "u"}, "module": "escrows",
        "recordId": "e-1", "userId": "u-9", "version": 7, "data": {"a": 1}, "changes": {"b": 2}});
    let position = service.publish(&event).await.pop().unwrap();
    let told = stream.next().await;
    assert_eq!(
        (&told.name[..], &told.id),
        ("escrow:price:updated", &position)
    );
    let mut told = told.json();
    let timestamp = told["timestamp"].take();
    let timestamp = timestamp.as_str().expect("a time");
    assert!(
        timestamp.len() == 24 && timestamp.ends_with('Z'),
        "{timestamp}"
    );
    assert_eq!(
        told,
        json!({"type": "escrow:price:updated", "module": "escrows", "action": "updated",
        "recordId": "e-1", "data": {"a": 1}, "changes": {"b": 2}, "version": 7, "userId": "u-9", "timestamp": null})
    );
    // What is left out is left out, and who did it is the caller.
    service
        .publish(&json!({"type": "t", "audience": {"team": "a"}, "data": null}))
        .await;
    let told = stream.next().await.json();
    let fields: Vec<_> = told
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, ["action", "timestamp", "type", "userId"]);
    assert_eq!(told["userId"], "svc");
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
        assert!(matches!(answer.status().as_u16(), 400 | 413));
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
            assert_eq!(answer.status(), 201);
            (
                broker,
                answer.json::<Value>().await.unwrap()["positions"].clone(),
            )
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

/// Publishes with a key; the status, the positions, and whether they are old.
async fn keyed(service: &Service, broker: &str, key: &str, body: &Value) -> (u16, Value, bool) {
    let request = service
        .client
        .post(service.url("/events"))
        .header("idempotency-key", key);
    let request = request
        .bearer_auth(Token::service(broker).signed())
        .json(body);
    let answer = Answer::to(request).await;
    if answer.status == 409 {
        let field = answer.refused(409, "idempotency_key_reused", key);
        assert_eq!(field.as_deref(), Some("Idempotency-Key"));
    }
    let is_repeat = answer.header("idempotency-replayed") == "true";
    (answer.status, answer.json()["positions"].clone(), is_repeat)
}

#[tokio::test]
async fn a_key_makes_a_retry_safe() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let (body, other) = (
        json!({"events": [for_team("a", 1), for_team("a", 2)]}),
        for_team("a", 3),
    );
    let (status, positions, is_repeat) = keyed(&service, "b", "k", &body).await;
    assert_eq!((status, is_repeat), (201, false));
    for _ in 0..3 {
        assert_eq!(
            keyed(&service, "b", "k", &body).await,
            (201, positions.clone(), true)
        );
    }
    assert_eq!(keyed(&service, "b", "k", &other).await.0, 409);
    // Another broker has keys of its own, and a key's letters all count.
    assert_eq!(keyed(&service, "c", "k", &other).await.0, 201);
    for (key, is_repeat) in [("K", false), ("K", true), ("k2", false)] {
        let (status, _, repeated) = keyed(&service, "b", key, &body).await;
        assert_eq!((status, repeated), (201, is_repeat), "{key}");
    }
    // Another process knows it too.
    service.stop().await;
    let service = Service::on(database, &[]).await;
    assert_eq!(
        keyed(&service, "b", "k", &body).await,
        (201, positions, true)
    );
    let listed = service.list("/events", &Token::user("u", &["a"])).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let service = Service::start().await;
    let bad = json!({"type": "hb", "audience": {"team": "a"}});
    assert_eq!(keyed(&service, "b", "k", &bad).await.0, 400);
    assert_eq!(keyed(&service, "b", "k", &for_team("a", 1)).await.0, 201);
}

#[tokio::test]
async fn requests_that_race_with_one_key_publish_once() {
    let database = Arc::new(TestDatabase::create().await);
    let services = [
        Service::on(Arc::clone(&database), &[]).await,
        Service::on(database, &[]).await,
    ];
    let body = for_team("a", 1);
    let racing = (0..20).map(|n| keyed(&services[n % 2], "b", "k", &body));
    let answers = futures_util::future::join_all(racing).await;
    let first = answers
        .iter()
        .filter(|(_, _, is_repeat)| !is_repeat)
        .count();
    assert_eq!(first, 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|(status, positions, _)| *status == 201 && *positions == answers[0].1)
    );
    let listed = services[0].list("/events", &Token::user("u", &["a"])).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 1);
    // With different bodies, one wins and the others are told.
    let bodies: Vec<_> = (0..20).map(|n| for_team("a", 10 + n)).collect();
    let racing = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| keyed(&services[n % 2], "b", "k3", body));
    let answers = futures_util::future::join_all(racing).await;
    let statuses: Vec<_> = answers.iter().map(|(status, ..)| *status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        19,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let service = Service::start().await;
    let (_, first, _) = keyed(&service, "b", "k", &for_team("a", 1)).await;
    let mut database = service.database.connect().await;
    let age = async |database: &mut sqlx::PgConnection, hours: i32| {
        let later = format!(
            "update porchlight.idempotency_keys set created_at = created_at - interval '{hours} hours'"
        );
        database
            .execute(sqlx::AssertSqlSafe(later))
            .await
            .expect("aged");
    };
    age(&mut database, 23).await;
    assert_eq!(
        keyed(&service, "b", "k", &for_team("a", 1)).await,
        (201, first, true)
    );
    age(&mut database, 2).await;
    let (status, second, is_repeat) = keyed(&service, "b", "k", &for_team("a", 2)).await;
    assert_eq!((status, is_repeat), (201, false));
    assert_eq!(
        keyed(&service, "b", "k", &for_team("a", 2)).await,
        (201, second, true)
    );
    assert_eq!(keyed(&service, "b", "k", &for_team("a", 1)).await.0, 409);
}
