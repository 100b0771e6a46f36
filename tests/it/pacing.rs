//! Streams with a pace: `batch` and `coalesce`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::support::cluster::TestDatabase;
use crate::support::people::agent;
use crate::support::requests::stream_at;
use crate::support::sql::run;
use crate::support::{Message, Service, Stream, Token, for_team, number, numbers};

/// The fields of each record, as a client has them.
type Records = BTreeMap<String, Map<String, Value>>;

fn ann() -> Token {
    Token::user("ann", &["a"])
}

fn update(record: &str, changes: &Value) -> Value {
    json!({"type": "escrow:updated", "audience": {"team": "a"}, "module": "escrows",
        "recordId": record, "changes": changes})
}

fn tick(n: u64) -> Value {
    for_team("a", n)
}

/// A stream that has caught up: it has written all that comes before the log's events.
async fn live(service: &Service, query: &str, gzip: bool) -> Stream {
    let url = service.url(&format!("/stream/team?{query}"));
    let mut stream = stream_at(&url, &ann(), gzip).await;
    // Without names, a message has its type in its data.
    while !stream.next_of_all().await.data.contains("locks:snapshot") {}
    stream
}

fn apply(records: &mut Records, messages: &[Message]) {
    for message in messages {
        let event = message.json();
        let record = event["recordId"].as_str().expect("a record").to_owned();
        let changes = event["changes"].as_object().expect("changes").clone();
        records.entry(record).or_default().extend(changes);
    }
}

/// Five updates of two records, and what they make of them.
fn updates() -> ([Value; 5], Records) {
    let updates = [
        update("e-1", &json!({"price": 1, "city": "x"})),
        update("e-2", &json!({"price": 7})),
        update("e-1", &json!({"price": 2})),
        update("e-2", &json!({"price": 8, "city": null})),
        update("e-1", &json!({"beds": 3})),
    ];
    let fields = |fields: Value| fields.as_object().expect("fields").clone();
    let first = fields(json!({"price": 2, "city": "x", "beds": 3}));
    let second = fields(json!({"price": 8, "city": null}));
    let records = [("e-1".to_owned(), first), ("e-2".to_owned(), second)];
    (updates, records.into())
}

#[tokio::test]
async fn updates_of_a_record_are_one_event_from_which_a_client_resumes_without_loss() {
    let service = Service::start().await;
    let mut streams = Vec::new();
    for (query, gzip) in [
        ("coalesce=fields", false),
        ("coalesce=fields&named=false", true),
    ] {
        streams.push(live(&service, query, gzip).await);
    }
    let (updates, expected) = updates();
    let positions = service.publish(&json!({"events": updates})).await;
    for stream in &mut streams {
        let merged = stream.logged(2).await;
        let mut records = Records::new();
        apply(&mut records, &merged);
        assert_eq!(records, expected);
        // The first cannot count as all: the first update of the other record comes between its parts.
        let ids: Vec<_> = merged.iter().map(|message| &message.id).collect();
        assert_eq!(ids, [&positions[0], &positions[4]]);
        for (at, message) in merged.iter().enumerate() {
            let mut records = Records::new();
            apply(&mut records, &merged[..=at]);
            let mut resumed = service.resume("/stream/team", &ann(), &message.id).await;
            service.publish(&tick(1)).await;
            apply(&mut records, &resumed.logged_until("test:tick").await);
            assert_eq!(records, expected, "resumed after {at}");
        }
    }
}

#[tokio::test]
async fn an_event_of_another_type_comes_at_once_and_in_its_place() {
    let service = Service::start().await;
    let mut stream = live(&service, "coalesce=fields", false).await;
    for round in 0..20 {
        let n = |n: u64| update("e-1", &json!({"n": n}));
        let events = json!({"events": [n(1), n(2), tick(round), n(3), n(4), tick(round)]});
        let positions = service.publish(&events).await;
        let received = stream.logged(4).await;
        let shown: Vec<_> = received
            .iter()
            .map(|message| (message.name.as_str(), &message.id))
            .collect();
        let expected = [
            ("escrow:updated", &positions[1]),
            ("test:tick", &positions[2]),
            ("escrow:updated", &positions[4]),
            ("test:tick", &positions[5]),
        ];
        assert_eq!(shown, expected);
        let values =
            [&received[0], &received[2]].map(|message| message.json()["changes"]["n"].clone());
        assert_eq!(values, [2, 4]);
    }
}

#[tokio::test]
async fn what_a_client_missed_is_not_merged() {
    let service = Service::start().await;
    let (updates, _) = updates();
    let positions = service.publish(&json!({"events": updates})).await;
    let mut stream = service
        .stream("/stream/team?coalesce=fields&since=0", &ann())
        .await;
    let received = stream.logged(5).await;
    let ids: Vec<_> = received.iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids, positions);
}

#[tokio::test]
async fn a_filter_and_other_teams_do_not_end_the_wait() {
    let service = Service::start().await;
    let mut stream = live(
        &service,
        "coalesce=fields&types=escrow:*,locks:snapshot",
        false,
    )
    .await;
    let n = |n: u64| update("e-1", &json!({"n": n}));
    let events = json!({"events": [n(1), tick(1), for_team("b", 1), n(2), for_team("b", 2)]});
    let positions = service.publish(&events).await;
    let merged = stream.next_logged().await;
    assert_eq!(
        (merged.json()["changes"]["n"].as_u64(), &merged.id),
        (Some(2), &positions[3])
    );
}

const TABLE: &str = "create table public.listings (id text primary key, broker_id text default 'b',
        team_id text, agent_id text, version int default 1, list_price numeric, commission_rate numeric);
    select porchlight.watch('public.listings', module => 'listings', broker_column => 'broker_id',
        team_column => 'team_id', owner_column => 'agent_id', version_column => 'version',
        private_columns => '{commission_rate}');
    insert into public.listings (id, team_id, agent_id, list_price) values ('l-1', 'a', 'ann', 1)";

#[tokio::test]
async fn private_fields_of_merged_updates_stay_private() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let mut sql = database.connect().await;
    run(&mut sql, TABLE).await;
    let mut streams = Vec::new();
    for (who, sees) in [("ann", json!(2.5)), ("bob", json!("[REDACTED]"))] {
        let path = "/stream?coalesce=fields&since=0";
        let mut stream = service.stream(path, &agent(who)).await;
        stream.logged_until("listing:created").await;
        streams.push((stream, sees));
    }
    let changes = "begin; update public.listings set commission_rate = 2.5, version = 2;
        update public.listings set list_price = 3, version = 3; commit";
    run(&mut sql, changes).await;
    for (stream, sees) in &mut streams {
        let mut records = Records::new();
        while records
            .get("l-1")
            .is_none_or(|fields| !fields.contains_key("listPrice"))
        {
            apply(&mut records, &[stream.next_logged().await]);
        }
        assert_eq!(records["l-1"]["commissionRate"], *sees);
        assert_eq!(records["l-1"]["listPrice"], json!(3));
    }
}

#[tokio::test]
async fn a_batch_is_one_write() {
    let service = Service::start().await;
    let mut stream = live(&service, "batch=1000", false).await;
    let written = "porchlight_stream_writes_total";
    let before = service.metric(written).await;
    for n in 0..12 {
        service.publish(&tick(n)).await;
    }
    let received = stream.logged(12).await;
    assert_eq!(numbers(&received), (0..12).collect::<Vec<_>>());
    let writes = service.metric(written).await - before;
    assert!(writes < 6.0, "{writes} writes");
}

#[tokio::test]
async fn a_stream_with_a_pace_replays_and_goes_on_in_order() {
    let service = Service::start().await;
    for n in 0..60 {
        let ticks: Vec<_> = (10 * n..10 * (n + 1)).map(tick).collect();
        service.publish(&json!({"events": ticks})).await;
    }
    let path = "/stream/team?batch=10&coalesce=fields&since=0";
    let mut stream = service.stream(path, &ann()).await;
    for n in 600..650 {
        service.publish(&tick(n)).await;
    }
    for n in 0..650 {
        assert_eq!(number(&stream.next_logged().await), n);
    }
}
