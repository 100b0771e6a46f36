//! Large items: a page ends where it has enough bytes, and clients that do not read cost little.

use std::sync::Arc;

use porchlight::log::Audience;
use porchlight::log::{heads, read};
use porchlight::platform::BrokerId;
use serde_json::{json, value::to_raw_value};
use sqlx::PgConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::List;
use crate::support::appending::{append_events, numbered};
use crate::support::cluster::TestDatabase;
use crate::support::people::agent;
use crate::support::service::metric;
use crate::support::{Process, Service, eventually};

const EVENTS: i64 = 600;
const EVENT_BYTES: usize = 60_000;
/// What a page may have, unless the operator says otherwise.
const PAGE_BYTES: usize = 1 << 20;
/// Clients that do not read.
const CLIENTS: usize = 40;

/// Appends 600 events of 60 KB, without the knowledge of any service.
async fn append_large(sql: &mut PgConnection) {
    let broker: BrokerId = "b".parse().expect("an id");
    for first in (0..EVENTS).step_by(50) {
        let events = (first..first + 50).map(|n| {
            let data = json!({"n": n, "padding": "x".repeat(EVENT_BYTES)});
            let mut event = numbered("a", n);
            event.data = Some(to_raw_value(&data).expect("JSON").into());
            event
        });
        let received = [(broker.clone(), events.collect())];
        append_events(sql, &received).await.expect("appended");
    }
}

#[tokio::test]
async fn pages_of_large_events_are_small_and_join_to_the_log() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &["--poll-ms=50"]).await;
    let start = service.list("/events", &agent("u")).await;
    let start = start["next"].as_str().expect("a position").to_owned();
    // With a reader, memory has what comes now.
    let mut stream = service.stream("/stream/team", &agent("u")).await;
    stream.next().await;
    append_large(&mut database.connect().await).await;
    stream.logged(usize::try_from(EVENTS).unwrap()).await;
    let forward: Vec<_> = (1..=EVENTS).collect();
    let backward: Vec<_> = (1..=EVENTS).rev().collect();
    let (after, before) = (format!("after={start}"), "before=999999".to_owned());
    for (path, first, expected) in [
        ("/events?limit=1000", &after, &forward),
        ("/events?limit=1000&types=test:*", &after, &forward),
        // From memory.
        ("/events?limit=1000&wait=0", &after, &forward),
        ("/events?limit=1000", &before, &backward),
    ] {
        let (parameter, _) = first.split_once('=').expect("a parameter");
        let list = List {
            parameter,
            is_endless: parameter == "after",
            ..List::new(path, "events")
        };
        let pages = list.pages_from(&service, &agent("u"), first.clone()).await;
        let mut positions = Vec::new();
        for page in &pages {
            assert!(page.len() <= PAGE_BYTES, "{path}: {} bytes", page.len());
            positions.extend(list.items(page).iter().map(|event| {
                let position = event["position"].as_str().expect("a position");
                let (number, _) = position.split_once('-').expect("an epoch");
                number.parse::<i64>().expect("a number")
            }));
        }
        assert_eq!(&positions, expected, "{path}");
        // Nor are they smaller than they need to be.
        assert!(pages.len() < 50, "{path}: {} pages", pages.len());
    }
}

#[tokio::test]
async fn replay_is_read_in_pages_of_few_bytes_that_leave_no_gap() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    append_large(&mut sql).await;
    let broker: BrokerId = "b".parse().expect("an id");
    for count in [1, 20] {
        let teams = (1..count).map(|n| format!("team:t{n}"));
        let audiences = teams.chain(["team:a".to_owned()]);
        let audiences: Vec<Audience> = audiences
            .map(|audience| audience.parse().expect("an audience"))
            .collect();
        let (mut positions, mut after) = (Vec::new(), 0);
        while after < EVENTS {
            let page = read::replay(&mut sql, &broker, &audiences, after).await;
            let page = page.expect("a page").expect("a log");
            let bytes = page.events.iter().map(|event| {
                let data = event.body.data.as_ref().expect("data");
                data.get().len()
            });
            assert!(bytes.sum::<usize>() <= PAGE_BYTES, "{count} audiences");
            assert!(page.upto > after, "{count} audiences");
            positions.extend(page.events.iter().map(|event| event.position));
            after = page.upto;
        }
        let all: Vec<_> = (1..=EVENTS).collect();
        assert_eq!(positions, all, "{count} audiences");
    }
    let logs = heads::read(&mut sql, std::slice::from_ref(&broker)).await;
    let (_, head) = logs.expect("heads").pop().expect("a log");
    let step = read::after(&mut sql, &broker, &head.epoch, 0, 500).await;
    let step = step.expect("events").len();
    assert!((2..20).contains(&step), "{step}");
}

/// Requests a path, and reads only the first byte of the answer.
async fn ask_and_do_not_read(process: &Process, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small one");
    let mut socket = socket.connect(process.addr).await.expect("a connection");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        process.addr,
        agent("u").signed()
    );
    let sent = socket.write_all(request.as_bytes()).await;
    sent.expect("a request");
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_their_page_cost_a_page_each() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let variables = [
        ("DATABASE_URL", &url[..]),
        ("PORCHLIGHT_MEMORY_MB", "1"),
        ("PORCHLIGHT_WRITE_TIMEOUT_SECONDS", "600"),
    ];
    let process = Process::start("127.0.0.1:0", &variables).await;
    append_large(&mut database.connect().await).await;
    let mut warm = ask_and_do_not_read(&process, "/events?limit=1000").await;
    warm.read_u8().await.expect("an answer");
    let before = process.resident_kib();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(ask_and_do_not_read(&process, "/events?limit=1000").await);
    }
    for client in &mut clients {
        client.read_u8().await.expect("an answer");
    }
    let answered = async || {
        let name = "porchlight_responses_total{class=\"2xx\"}";
        let answered = metric(&process.url("/metrics"), name).await;
        (answered >= 41.0).then_some(())
    };
    eventually("all are answered", answered).await;
    let grown = process.resident_kib().saturating_sub(before);
    // The pages themselves are 40 MiB; what made them may stay with the allocator.
    assert!(grown < 120 << 10, "grown by {grown} KiB");
}
