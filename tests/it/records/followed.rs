//! The events about records say the same as the records.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, MODULES, admin, agent, body, run, two};
use crate::support::{Chance, Service, Stream, Token};

/// Records by id, as a client knows them that lists once and then applies events.
type KnownRecords = BTreeMap<String, Value>;

fn apply(known: &mut KnownRecords, event: &Value) {
    let id = event["recordId"].as_str().expect("an id").to_owned();
    match event["action"].as_str() {
        Some("created") => drop(known.insert(id, event["data"].clone())),
        Some("deleted") => drop(known.remove(&id)),
        _ => {
            let (Some(record), Some(changes)) = (known.get_mut(&id), event["changes"].as_object())
            else {
                return;
            };
            for (field, value) in changes {
                record[field] = value.clone();
            }
        }
    }
}

async fn snapshot(service: &Service, who: &Token) -> (KnownRecords, String) {
    let answer = Call::by(service, who)
        .get("escrows?archived=all&limit=200")
        .await;
    let page = body(&answer, 200);
    let records = page["records"].as_array().expect("records");
    let by_id = |record: &Value| {
        (
            record["id"].as_str().expect("an id").to_owned(),
            record.clone(),
        )
    };
    (
        records.iter().map(by_id).collect(),
        answer.header("stream-position").to_owned(),
    )
}

/// Applies the events before the marker.
async fn apply_until_marker(stream: &mut Stream, known: &mut KnownRecords) {
    for message in stream.logged_until("test:marker").await {
        if message.name.starts_with("escrow:") {
            apply(known, &message.json());
        }
    }
}

/// One of many writers: random changes.
async fn write(service: &Service, who: &Token, mut chance: Chance) {
    for n in 0..60_u64 {
        let id = format!("e-{}", chance.below(12));
        let path = format!("escrows/{id}");
        let call = Call::by(service, who);
        let answer = match chance.below(10) {
            0..3 => {
                call.create(
                    "escrows",
                    &json!({"id": id, "address": n.to_string(), "commission": n}),
                )
                .await
            }
            3..6 => {
                call.patch(&path, &json!({"city": n.to_string(), "purchasePrice": n}))
                    .await
            }
            6 => call.put(&path, "archive").await,
            7 => call.put(&path, "restore").await,
            8 => {
                call.patch(
                    &path,
                    &json!({"teamId": if n % 2 == 0 { "a" } else { "z" }}),
                )
                .await
            }
            _ => call.delete(&path).await,
        };
        assert!(answer.status < 500, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_list_and_the_stream_from_its_position_end_as_a_fresh_list() {
    let [a, b] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let writers = [
        Token::user("ann", &["a", "z"]),
        Token::user("bob", &["z", "a"]),
    ];
    // Readers with other rights see other values of private fields.
    let readers = [
        agent("ann"),
        agent("cid"),
        Token::user("zoe", &["z"]),
        admin(&["a"]),
    ];
    let mut chance = Chance::new();
    let follow = async |who: &Token, at: usize| {
        // In the midst of the writing.
        let mut known = Vec::new();
        for _ in 0..at {
            let (records, position) = snapshot(&b, who).await;
            let stream = a.stream(&format!("/stream?since={position}"), who).await;
            known.push((records, stream));
        }
        known
    };
    let (.., one, two, three, four) = tokio::join!(
        write(&a, &writers[0], chance.fork()),
        write(&b, &writers[1], chance.fork()),
        write(&b, &writers[0], chance.fork()),
        follow(&readers[0], 5),
        follow(&readers[1], 5),
        follow(&readers[2], 5),
        follow(&readers[3], 5)
    );
    super::until_counted(&mut sql, "select count(*) from porchlight.outbox", 0).await;
    run(
        &mut sql,
        "select porchlight.emit('test:marker', '{\"broker\": \"b\"}')",
    )
    .await;
    for (who, all) in readers.iter().zip([one, two, three, four]) {
        let (fresh, _) = snapshot(&b, who).await;
        for (mut known, mut stream) in all {
            apply_until_marker(&mut stream, &mut known).await;
            assert_eq!(known, fresh, "{}", who.user);
        }
    }
}

#[tokio::test]
async fn the_event_of_a_new_record_has_the_record() {
    let [a, b] = two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let mut own = b.stream("/stream", &ann).await;
    let mut others = b.stream("/stream", &bob).await;
    for (module, singular, required) in MODULES {
        let mut fields = json!({"id": "x", required: "Ünï \"q\" \\ \u{1} 🏠"});
        match module {
            "escrows" => fields["commission"] = json!(1.5),
            "listings" => fields["commissionRate"] = json!(2.125),
            _ => fields["notes"] = json!("secret"),
        }
        body(&Call::by(&a, &ann).create(module, &fields).await, 201);
        for (who, stream) in [(&ann, &mut own), (&bob, &mut others)] {
            let received = stream.next_logged().await.json();
            assert_eq!(
                (&received["type"], &received["userId"]),
                (&json!(format!("{singular}:created")), &json!("ann"))
            );
            assert_eq!(received["version"], 1);
            let got = Call::by(&a, who).get(&format!("{module}/x")).await;
            assert_eq!(received["data"], body(&got, 200), "{module} {}", who.user);
        }
    }
}

#[tokio::test]
async fn changes_by_sql_are_published_and_changes_by_the_service_at_once() {
    // A relay that hardly polls.
    let a = Service::with(&["--relay-poll-ms=10000"]).await;
    let mut sql = a.database.connect().await;
    let ann = agent("ann");
    let mut stream = a.stream("/stream", &ann).await;
    let began = tokio::time::Instant::now();
    for n in 0..5 {
        let fields = json!({"id": format!("e-{n}"), "address": "1"});
        body(&Call::by(&a, &ann).create("escrows", &fields).await, 201);
        assert_eq!(
            stream.next_logged().await.json()["recordId"],
            format!("e-{n}")
        );
    }
    assert!(
        began.elapsed() < std::time::Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    run(
        &mut sql,
        "update porchlight.escrows set city = 'Ukiah' where id = 'e-1'",
    )
    .await;
    assert_eq!(Call::by(&a, &ann).delete("escrows/e-2").await.status, 204);
    let received = stream.next_logged().await.json();
    assert_eq!(
        (&received["type"], &received["version"]),
        (&json!("escrow:updated"), &json!(2))
    );
    assert_eq!(
        (&received["changes"]["city"], &received["userId"]),
        (&json!("Ukiah"), &Value::Null)
    );
    assert_eq!(stream.next_logged().await.json()["type"], "escrow:deleted");
}
