//! A large import whose worker is killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{WORKING, ann, ask, count, database, ended, output, result, upload};
use crate::support::worker::Worker;
use crate::support::{Chance, Message, Service, eventually};

const ROWS: usize = 4_000;
const BAD: usize = 60;
/// Rows after which the worker is killed.
const KILLS: [i64; 3] = [400, 1_600, 2_800];

/// A file, and the lines of its bad rows with the columns at fault.
fn file(chance: &mut Chance) -> (String, BTreeMap<i64, &'static str>) {
    let mut bad = BTreeSet::new();
    while bad.len() < BAD {
        bad.insert(chance.below(ROWS));
    }
    let mut text = "Address,Purchase Price,Open Date,Close Date,Status,Buyer Name\n".to_owned();
    let (mut line, mut named) = (2, BTreeMap::new());
    for n in 0..ROWS {
        // Some names stand on two lines.
        let buyer = if chance.below(10) == 0 {
            "\"Ann\nLee\""
        } else {
            "Bob"
        };
        let (row, column) = match (bad.contains(&n), chance.below(6)) {
            (false, _) => (
                format!(
                    "{n} Oak St,\"$1,{:03}\",1/2/2025,2025-03-04,open,{buyer}",
                    n % 1_000
                ),
                "",
            ),
            (true, 0) => (
                format!("{n} Oak St,much,1/2/2025,,open,{buyer}"),
                "Purchase Price",
            ),
            (true, 1) => (format!(",1,1/2/2025,,open,{buyer}"), "Address"),
            (true, 2) => (format!("{n} Oak St,1,1/32/2025,,open,{buyer}"), "Open Date"),
            (true, 3) => (
                format!("{n} Oak St,1,1/2/2025,1/1/2025,open,{buyer}"),
                "Close Date",
            ),
            (true, 4) => (format!("{n} Oak St,1,1/2/2025,,shut,{buyer}"), "Status"),
            (true, _) => (format!("{n} Oak St,1,1/2/2025"), "null"),
        };
        if bad.contains(&n) {
            named.insert(line, column);
        }
        line += 1 + i64::try_from(row.matches('\n').count()).unwrap();
        text.push_str(&row);
        text.push('\n');
    }
    (text, named)
}

async fn until_done(service: &Service, rows: i64) {
    eventually("so many rows are done", async || {
        let mut sql = service.database.connect().await;
        let done = "select coalesce(max(next_row), 0)::bigint from porchlight.imports";
        (count(&mut sql, done).await >= rows).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_import_creates_every_good_row_once_and_names_every_bad_one() {
    let mut chance = Chance::new();
    let (text, bad) = file(&mut chance);
    let (database, mut sql) = database().await;
    let service = Service::on(Arc::clone(&database), &WORKING[1..]).await;
    let ann = ann();
    let mut stream = service.stream("/stream/user?types=ai:task:*", &ann).await;
    let file = upload(&service, &ann, text).await;
    let id = ask(&service, &ann, json!({"module": "escrows", "upload": file})).await;
    for rows in KILLS {
        let worker = Worker::start(&database.url());
        until_done(&service, rows).await;
        worker.kill();
    }
    let _worker = Worker::start(&database.url());
    let task = ended(&service, &ann, &id).await;
    let done = result(&task);
    assert_eq!(
        (&done["rows"], &done["created"], &done["bad"]),
        (&json!(ROWS), &json!(ROWS - BAD), &json!(BAD))
    );
    assert!(task["attempt"].as_i64() >= Some(4), "{task}");
    let errors = done["errors"].as_array().unwrap();
    let named = errors.iter().map(|error| {
        let line = error["line"].as_i64().unwrap();
        (line, error["column"].as_str().unwrap_or("null"))
    });
    assert_eq!(named.collect::<BTreeMap<_, _>>(), bad);
    let lines = output(&service, &ann, &id).await;
    let begins = |(line, said): (i64, &String)| said.starts_with(&format!("line {line}"));
    assert!(
        lines.len() == BAD && bad.keys().copied().zip(&lines).all(begins),
        "{lines:?}"
    );
    let good = "select count(*) from porchlight.escrows";
    let distinct = "select count(distinct address) from porchlight.escrows";
    let expected = i64::try_from(ROWS - BAD).unwrap();
    assert_eq!(count(&mut sql, good).await, expected);
    assert_eq!(count(&mut sql, distinct).await, expected);
    eventually("every one is published", async || {
        let mut sql = database.connect().await;
        let received = "select count(*) from porchlight.events where type = 'escrow:created'";
        (count(&mut sql, received).await == expected).then_some(())
    })
    .await;
    let mut received = Vec::new();
    while received
        .last()
        .is_none_or(|m: &Message| m.name != "ai:task:completed")
    {
        received.push(stream.next_logged().await);
    }
    assert_steady(&received);
}

/// Progress goes on and never back, at most four times in any second.
fn assert_steady(received: &[Message]) {
    let (mut step, mut times) = (0, Vec::new());
    for message in received {
        if message.name != "ai:task:progress" {
            continue;
        }
        let data = message.json();
        let now = data["data"]["step"].as_i64().unwrap();
        assert!(now >= step, "{step} {now}");
        step = now;
        let at = data["timestamp"].as_str().unwrap();
        times.push(OffsetDateTime::parse(at, &Rfc3339).unwrap());
    }
    assert!(times.len() > KILLS.len(), "{} were published", times.len());
    let is_slow = |five: &[OffsetDateTime]| (five[4] - five[0]).whole_milliseconds() >= 1_000;
    assert!(times.windows(5).all(is_slow), "{times:?}");
}
