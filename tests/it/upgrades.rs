//! A rolling upgrade: release 0.2.0 and this build run side by side on one database, then the old one stops.

use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::cluster::TestDatabase;
use crate::support::ledger::{self, Ledger};
use crate::support::people::{agent, worker};
use crate::support::requests::client;
use crate::support::returning::END;
use crate::support::wait::soon;
use crate::support::{Answer, Process, Publisher, Returning, Stream, Token, for_team, number};

/// The binary of release 0.2.0. `scripts/test --long` builds it.
const OLD_BINARY: &str = "PORCHLIGHT_OLD_BIN";
/// How long the old version runs alone, both run, and the new one runs alone.
const PHASES: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(6),
    Duration::from_secs(2),
];
const PUBLISHERS: usize = 4;
const READERS: usize = 6;
/// Numbers of different publishers differ.
const NUMBERS: u64 = 1_000_000;

/// The instances that serve, oldest first. None: the test is over.
type Instances = watch::Receiver<Vec<String>>;

/// Each actor has its own instance, and another one when that is gone.
fn instance(instances: &Instances, actor: usize) -> Option<String> {
    let urls = instances.borrow();
    urls.get(actor % urls.len().max(1)).cloned()
}

/// Publishes one event after the other, each until it is acknowledged, at alternating instances.
async fn publish(instances: Instances, actor: usize) -> Ledger {
    let mut acknowledgements = Ledger::default();
    let first = NUMBERS * u64::try_from(actor).expect("a number");
    for (turn, n) in (first..).enumerate() {
        let (key, event) = (n.to_string(), for_team("a", n));
        let acknowledged = async {
            for tried in turn.. {
                let url = instance(&instances, actor + tried)?;
                let positions = Publisher::new(&url).attempt(&key, &event).await;
                if positions.is_some() {
                    return positions;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            None
        };
        let Some(positions) = soon("an acknowledgement", acknowledged).await else {
            acknowledgements
                .unsure
                .push(i64::try_from(n).expect("a number"));
            return acknowledgements;
        };
        acknowledgements.acknowledge(&positions, &[i64::try_from(n).expect("a number")]);
    }
    acknowledgements
}

/// Reads to the last event, and comes back to another instance when its own stops.
async fn read(instances: Instances, actor: usize) -> Returning {
    let audiences = vec!["team:a".to_owned()];
    let mut reader = Returning::new(String::new(), &agent("u"), audiences, false);
    let (client, token) = (client(false), agent(&format!("u-{actor}")).signed());
    let mut cursor = "0".to_owned();
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Some(url) = instance(&instances, actor) else {
            continue;
        };
        let url = format!("{url}/stream/team?types=test:*");
        let request = client.get(url).bearer_auth(&token);
        let request = request.header("Last-Event-ID", &cursor);
        let Ok(mut stream) = Stream::try_open(request).await else {
            continue;
        };
        assert_eq!(stream.status, StatusCode::OK);
        while let Some(message) = soon("an event or the end", stream.try_next()).await {
            assert_ne!(message.name, "stream:reset", "{message:?}");
            if !message.id.is_empty() {
                cursor.clone_from(&message.id);
            }
            if message.is_logged() {
                let n = i64::try_from(number(&message)).expect("a number");
                reader.seen.push((message.position(), n));
            }
            if message.name == END {
                return reader;
            }
        }
    }
}

/// One request, which must succeed at either version, unless the instance stops.
async fn expect(url: &str, who: &Token, path: &str, body: Value) -> Option<Value> {
    let request = client(false)
        .post(format!("{url}{path}"))
        .bearer_auth(who.signed());
    let answer = Answer::of_any_version(request.json(&body)).await.ok()?;
    assert!(
        matches!(answer.status, 200..300 | 503),
        "{url}{path} {body}: {} {}",
        answer.status,
        answer.text
    );
    serde_json::from_str(&answer.text).ok()
}

/// Uses locks, tasks, presence and records at alternating instances. Returns how many rounds it did.
async fn work(instances: Instances) -> usize {
    let ann = agent("ann");
    for turn in 0.. {
        let (Some(url), Some(other)) = (instance(&instances, turn), instance(&instances, turn + 1))
        else {
            return turn;
        };
        let heartbeat = json!({"session": "tab-1", "status": "online"});
        expect(&url, &ann, "/presence/heartbeat", heartbeat).await;
        let lock =
            json!({"module": "escrows", "recordId": format!("e-{turn}"), "session": "tab-1"});
        expect(&url, &ann, "/locks", lock.clone()).await;
        expect(&other, &ann, "/locks", lock).await;
        let record = json!({"id": format!("r-{turn}"), "address": "1 Main St"});
        expect(&url, &ann, "/records/escrows", record).await;
        let notice = json!({"audience": {"team": "a"}, "level": "info", "title": "t"});
        expect(&other, &ann, "/notifications", notice).await;
        expect(&url, &ann, "/tasks", json!({"type": "report"})).await;
        let claim = json!({"types": ["report"], "leaseSeconds": 60});
        let claimed = expect(&other, &worker("w"), "/tasks/claim", claim).await;
        if let Some(claimed) = claimed {
            let (id, fence) = (
                claimed["task"]["id"].as_str().expect("an id"),
                &claimed["fence"],
            );
            let progress = json!({"fence": fence, "percent": 50});
            expect(
                &url,
                &worker("w"),
                &format!("/tasks/{id}/progress"),
                progress,
            )
            .await;
            let done = json!({"fence": fence, "result": {}});
            expect(&other, &worker("w"), &format!("/tasks/{id}/complete"), done).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    0
}

/// The new version answers repeats of requests that the old one has done.
async fn assert_keys_are_known(old: &str, new: &str) {
    let notice = json!({"audience": {"user": "ann"}, "level": "info", "title": "once"});
    for (path, body) in [
        ("/tasks", json!({"type": "once"})),
        ("/notifications", notice),
    ] {
        let mut ids = Vec::new();
        for url in [old, new] {
            let request = client(false).post(format!("{url}{path}")).json(&body);
            let request = request.bearer_auth(agent("ann").signed());
            let answer = Answer::to(request.header("Idempotency-Key", "once")).await;
            assert!(
                matches!(answer.status, 200 | 201),
                "{url}{path}: {}",
                answer.text
            );
            ids.push(answer.json()["id"].clone());
        }
        assert_eq!(ids[0], ids[1], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs another binary: a part of scripts/test --long"]
async fn two_versions_side_by_side_lose_nothing() {
    let old_binary = std::env::var(OLD_BINARY);
    let old_binary = old_binary.expect("PORCHLIGHT_OLD_BIN names the binary of release 0.2.0");
    let database = TestDatabase::empty().await;
    let url = database.url();
    let variables = [("DATABASE_URL", &*url)];
    let mut old = Process::start_program(&old_binary, "127.0.0.1:0", &variables).await;
    let (serving, instances) = watch::channel(vec![old.url("")]);
    let (mut publishing, mut reading) = (JoinSet::new(), JoinSet::new());
    for actor in 0..PUBLISHERS {
        publishing.spawn(publish(instances.clone(), actor));
    }
    for actor in 0..READERS {
        reading.spawn(read(instances.clone(), actor));
    }
    let working = tokio::spawn(work(instances.clone()));
    tokio::time::sleep(PHASES[0]).await;
    // It migrates the database while the old one works.
    let new = Process::start("127.0.0.1:0", &variables).await;
    serving.send_replace(vec![old.url(""), new.url("")]);
    assert_keys_are_known(&old.url(""), &new.url("")).await;
    tokio::time::sleep(PHASES[1]).await;
    serving.send_replace(vec![new.url("")]);
    old.signal(Signal::SIGTERM);
    assert_eq!(old.exit_code().await, Some(0));
    tokio::time::sleep(PHASES[2]).await;
    serving.send_replace(Vec::new());
    let mut acknowledgements = Ledger::default();
    for part in publishing.join_all().await {
        acknowledgements.add(part);
    }
    assert!(working.await.expect("no panic") > 10);
    serving.send_replace(vec![new.url("")]);
    let end = json!({"type": END, "audience": {"team": "a"}, "data": {"n": 0}});
    Publisher::new(&new.url("")).insist("end", &end).await;
    let readers = soon("readers have everything", reading.join_all()).await;
    check(&database, &acknowledgements, &readers).await;
}

/// What was published is in the log once, and each reader has seen all of it in the order of the log.
async fn check(database: &TestDatabase, acknowledgements: &Ledger, readers: &[Returning]) {
    let mut sql = database.connect().await;
    let query = "select position, audience, (data->>'n')::bigint from porchlight.events
        where broker_id = 'b' and type in ('test:tick', 'test:end') order by position";
    let log: Vec<(i64, String, i64)> = sqlx::query_as(query)
        .fetch_all(&mut sql)
        .await
        .expect("the log");
    let published = log.len() - 1;
    assert!(published > 500, "{published}");
    let mut numbers: Vec<_> = log.iter().map(|(.., n)| *n).collect();
    numbers.sort_unstable();
    assert!(
        numbers.windows(2).all(|two| two[0] < two[1] || two[0] == 0),
        "an event is there twice"
    );
    for (position, n) in &acknowledgements.acknowledged {
        let found = log.binary_search_by_key(position, |row| row.0);
        assert_eq!(log[found.expect("a position of the log")].2, *n);
    }
    for reader in readers {
        ledger::check_seen(&log, reader);
    }
}
