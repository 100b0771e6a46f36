//! Clients that do not read: they cost no memory, slow nobody down, and catch up when
//! they read again.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::cluster::TestDatabase;
use crate::support::service::metric;
use crate::support::{Message, Process, Publisher, Stream, Token, eventually, slow};

const READERS: usize = 200;
/// About twice of what the system takes off the server's hands for a socket that is not read.
const EVENTS: usize = 10_000;
const BATCH: usize = 250;
/// What a reader's backlog may cost in the server: its buffers, and nothing that grows.
const READER_KIB: u64 = 64;
/// What the service takes for itself meanwhile: recent events, pages for replay, buffers.
const SERVICE_KIB: u64 = 48 << 10;
/// Of the readers, how many read again.
const RETURNERS: usize = 20;

/// Events of 400 bytes for team `a`, in batches, up to `to`.
async fn publish(publisher: &Publisher, from: usize, to: usize) {
    let padding = "x".repeat(400);
    let event = |n| {
        let data = json!({"n": n, "padding": padding});
        json!({"type": "test:tick", "audience": {"team": "a"}, "data": data})
    };
    for first in (from..to).step_by(BATCH) {
        let events: Vec<_> = (first..first + BATCH).map(event).collect();
        let body = json!({"events": events});
        publisher.insist(&format!("key-{first}"), &body).await;
    }
}

async fn open(process: &Process, readers: usize) -> Vec<Stream> {
    let opening = (0..readers).map(|i| async move {
        let token = Token::user(&format!("u{i}"), &["a"]);
        let mut stream = slow::open(process.addr, "/stream/team", &token).await;
        assert_eq!(stream.next().await.name, "stream:ready");
        stream
    });
    join_all(opening).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stop_cost_no_memory_and_slow_nobody_down_and_catch_up() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let variables = [
        ("DATABASE_URL", &url[..]),
        ("PORCHLIGHT_MEMORY_MB", "2"),
        ("PORCHLIGHT_WRITE_TIMEOUT_SECONDS", "600"),
    ];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let publisher = Publisher::new(&process.url(""));
    let mut stopped = open(&process, READERS).await;
    let mut reading = open(&process, 1).await;
    publish(&publisher, 0, BATCH).await;
    reading[0].logged(BATCH).await;
    let before = process.resident_kib();

    let (seen, ()) = tokio::join!(
        reading[0].logged(EVENTS),
        publish(&publisher, BATCH, BATCH + EVENTS)
    );
    assert!(positions(&seen).eq((BATCH as i64 + 1)..=(BATCH + EVENTS) as i64));
    assert_bounded(&process, before);
    let delivered = metric(
        &process.url("/metrics"),
        "porchlight_events_delivered_total",
    )
    .await;
    let all = (READERS * EVENTS) as f64;
    assert!(delivered < all * 0.75, "{delivered}: nobody fell behind");

    let catching_up = stopped[..RETURNERS].iter_mut().map(async |stream| {
        let seen = stream.logged(BATCH + EVENTS).await;
        assert!(positions(&seen).eq(1..=(BATCH + EVENTS) as i64));
    });
    join_all(catching_up).await;
    assert_bounded(&process, before);
}

/// The backlog of all readers together would be ten times as much.
fn assert_bounded(process: &Process, before_kib: u64) {
    let grown = process.resident_kib().saturating_sub(before_kib);
    let most = SERVICE_KIB + READERS as u64 * READER_KIB;
    assert!(grown < most, "grown by {grown} KiB");
}

fn positions(messages: &[Message]) -> impl Iterator<Item = i64> {
    messages.iter().map(Message::position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_reads_again_is_let_go() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let variables = [
        ("DATABASE_URL", &url[..]),
        ("PORCHLIGHT_WRITE_TIMEOUT_SECONDS", "2"),
        ("PORCHLIGHT_HEARTBEAT_SECONDS", "1"),
    ];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let publisher = Publisher::new(&process.url(""));
    let stopped = open(&process, 10).await;
    let mut reading = open(&process, 1).await;
    // More than the system's own buffers hold.
    let publishing = publish(&publisher, 0, 2 * EVENTS);
    tokio::join!(reading[0].logged(2 * EVENTS), publishing);
    let metrics = process.url("/metrics");
    let are_gone = async || {
        let open = metric(&metrics, "porchlight_streams_open").await;
        (open <= 1.0).then_some(())
    };
    eventually("only the one that reads is left", are_gone).await;
    assert_eq!(reading[0].next().await.name, "hb");
    drop(stopped);
}
