//! The end of many streams at once.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::Instant;

use super::client::{RawClient, request};
use crate::support::cluster::TestDatabase;
use crate::support::ends::user;
use crate::support::service::metric;
use crate::support::{Process, Publisher, Token};

const STREAMS: usize = 1_000;
/// Of these, how many do not read.
const STALLED: usize = 100;
const STOP_LIMIT: Duration = Duration::from_secs(20);

async fn open(process: &Process, i: usize) -> RawClient {
    let (mut client, token) = if i < STALLED {
        let token = Token::user(&format!("u{i}"), &["stalled"]);
        (RawClient::connect_small(process.addr).await, token)
    } else {
        (RawClient::connect(process.addr).await, user(i))
    };
    client.send(request("1.1", &token, "")).await;
    client.until("locks:snapshot").await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_tells_every_stream_that_reads_and_does_not_wait_for_the_others() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_MEMORY_MB", "32")];
    let mut process = Process::start("127.0.0.1:0", &variables).await;
    let mut clients = Vec::new();
    for some in (0..STREAMS).collect::<Vec<_>>().chunks(100) {
        clients.extend(join_all(some.iter().map(|i| open(&process, *i))).await);
    }
    let metrics = process.url("/metrics");
    assert_eq!(metric(&metrics, "porchlight_streams_open").await, 1_000.0);
    // More than the system keeps for those that do not read.
    let publisher = Publisher::new(&process.url(""));
    let event = json!({"type": "test:tick", "audience": {"team": "stalled"},
        "data": {"padding": "x".repeat(20_000)}});
    for n in 0..20 {
        let events = json!({"events": vec![&event; 10]});
        publisher.insist(&format!("key-{n}"), &events).await;
    }
    let stopping_at = Instant::now();
    process.signal(Signal::SIGTERM);
    let reading = clients[STALLED..].iter_mut().map(async |client| {
        client.rest().await;
        assert!(
            client.text.contains("\"reason\":\"drain\""),
            "{}",
            client.text
        );
        assert!(client.text.ends_with("0\r\n\r\n"), "{}", client.text);
    });
    join_all(reading).await;
    assert_eq!(process.exit_code().await, Some(0));
    assert!(stopping_at.elapsed() < STOP_LIMIT);
    let log = process.log.lock().expect("a log").clone();
    assert!(log.contains("stopped"), "{log}");
}
