//! Records and what is told of them are one and the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, MODULES, admin, agent, body, run, two};
use crate::support::{Chance, Service, Stream, Token};

/// Records by id, as somebody keeps them who lists once and then listens.
type Kept = BTreeMap<String, Value>;

fn apply(kept: &mut Kept, event: &Value) {
    let id = event["recordId"].as_str().expect("an id").to_owned();
    match event["action"].as_str() {
        Some("created") => drop(kept.insert(id, event["data"].clone())),
        Some("deleted") => drop(kept.remove(&id)),
        _ => {
            let (Some(record), Some(changes)) = (kept.get_mut(&id), event["changes"].as_object())
            else {
                return;
            };
            for (field, value) in changes {
                record[field] = value.clone();
            }
        }
    }
}

async fn snapshot(service: &Service, who: &Token) -> (Kept, String) {
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

/// Applies what is told, up to the marker.
async fn until_marker(stream: &mut Stream, kept: &mut Kept) {
    loop {
        let message = stream.next_logged().await;
        match &*message.name {
            "test:marker" => return,
            name if name.starts_with("escrow:") => apply(kept, &message.json()),
            _ => {}
        }
    }
}

/// One writer of many, who does what chance says.
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
    let ([a, b], mut sql) = two().await;
    let writers = [
        Token::user("ann", &["a", "z"]),
        Token::user("bob", &["z", "a"]),
    ];
    // The rights to what is private differ, and so does what is seen.
    let readers = [
        agent("ann"),
        agent("cid"),
        Token::user("zoe", &["z"]),
        admin(),
    ];
    let mut chance = Chance::new();
    let follow = async |who: &Token, at: usize| {
        // In the midst of the writing.
        let mut kept = Vec::new();
        for _ in 0..at {
            let (records, position) = snapshot(&b, who).await;
            let stream = a.stream(&format!("/stream?since={position}"), who).await;
            kept.push((records, stream));
        }
        kept
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
        for (mut kept, mut stream) in all {
            until_marker(&mut stream, &mut kept).await;
            assert_eq!(kept, fresh, "{}", who.user);
        }
    }
}

#[tokio::test]
async fn the_event_of_a_new_record_has_the_record() {
    let ([a, b], _) = two().await;
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
            let told = stream.next_logged().await.json();
            assert_eq!(
                (&told["type"], &told["userId"]),
                (&json!(format!("{singular}:created")), &json!("ann"))
            );
            assert_eq!(told["version"], 1);
            let got = Call::by(&a, who).get(&format!("{module}/x")).await;
            assert_eq!(told["data"], body(&got, 200), "{module} {}", who.user);
        }
    }
}

#[tokio::test]
async fn what_is_written_by_sql_is_told_and_what_is_written_here_is_told_at_once() {
    // A relay that hardly looks by itself.
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
    let told = stream.next_logged().await.json();
    assert_eq!(
        (&told["type"], &told["version"]),
        (&json!("escrow:updated"), &json!(2))
    );
    assert_eq!(
        (&told["changes"]["city"], &told["userId"]),
        (&json!("Ukiah"), &Value::Null)
    );
    assert_eq!(stream.next_logged().await.json()["type"], "escrow:deleted");
}
