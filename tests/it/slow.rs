//! Clients that do not read: they cost no memory, slow nobody down, and catch up when
//! they read again.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::cluster::TestDatabase;
use crate::support::service::metric;
use crate::support::{Message, Process, Publisher, Stream, Token, eventually, slow};

const READERS: u32 = 80;
/// About twice of what the system buffers for a socket that is not read.
const EVENTS: u32 = 10_000;
const BATCH: u32 = 250;
/// What a reader's backlog may cost in the server: its buffers, and nothing that grows.
const READER_KIB: u64 = 64;
/// What the service takes for itself meanwhile: recent events, pages for replay, buffers.
const SERVICE_KIB: u64 = 48 << 10;
/// Of the readers, how many read again.
const RETURNERS: usize = 30;

/// Events of 400 bytes for team `a`, in batches, up to `to`.
async fn publish(publisher: &Publisher, from: u32, to: u32) {
    let padding = "x".repeat(400);
    let event = |n| {
        let data = json!({"n": n, "padding": padding});
        json!({"type": "test:tick", "audience": {"team": "a"}, "data": data})
    };
    for first in (from..to).step_by(count(BATCH)) {
        let events: Vec<_> = (first..first + BATCH).map(event).collect();
        let body = json!({"events": events});
        publisher.insist(&format!("key-{first}"), &body).await;
    }
}

async fn open(process: &Process, readers: u32) -> Vec<Stream> {
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
    reading[0].logged(count(BATCH)).await;
    let before = process.resident_kib();

    let (seen, ()) = tokio::join!(
        reading[0].logged(count(EVENTS)),
        publish(&publisher, BATCH, BATCH + EVENTS)
    );
    assert_positions(&seen, BATCH + 1);
    assert_bounded(&process, before);
    let delivered = metric(
        &process.url("/metrics"),
        "porchlight_events_delivered_total",
    )
    .await;
    let all = f64::from(READERS * EVENTS);
    assert!(delivered < all * 0.75, "{delivered}: nobody fell behind");

    let catching_up = stopped[..RETURNERS].iter_mut().map(async |stream| {
        let seen = stream.logged(count(BATCH + EVENTS)).await;
        assert_positions(&seen, 1);
    });
    join_all(catching_up).await;
    assert_bounded(&process, before);
}

/// The backlog of all readers together would be six times as much.
fn assert_bounded(process: &Process, before_kib: u64) {
    let grown = process.resident_kib().saturating_sub(before_kib);
    let most = SERVICE_KIB + u64::from(READERS) * READER_KIB;
    assert!(grown < most, "grown by {grown} KiB");
}

fn assert_positions(messages: &[Message], first: u32) {
    let positions = messages.iter().map(Message::position);
    assert!(positions.eq(i64::from(first)..=i64::from(BATCH + EVENTS)));
}

fn count(n: u32) -> usize {
    usize::try_from(n).expect("a count")
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
    tokio::join!(reading[0].logged(count(2 * EVENTS)), publishing);
    let metrics = process.url("/metrics");
    let are_gone = async || {
        let open = metric(&metrics, "porchlight_streams_open").await;
        (open <= 1.0).then_some(())
    };
    eventually("only the one that reads is left", are_gone).await;
    assert_eq!(reading[0].next().await.name, "hb");
    drop(stopped);
}
