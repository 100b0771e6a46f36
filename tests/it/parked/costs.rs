//! What streams may cost: counted, because times differ from machine to machine.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use super::client::{RawClient, open_streams, request};
use crate::support::ends::user;
use crate::support::sql::transactions;
use crate::support::{Service, for_team};

/// Counts the allocations of the whole process.
#[global_allocator]
pub(super) static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A test that runs in a process of its own, where nothing else allocates.
const ALONE: &str = "parked::costs::allocations_in_a_process_of_their_own";
const EVENTS: u64 = 200;

/// A client that reads without allocating.
struct Reader {
    socket: TcpStream,
    buffer: [u8; 8_192],
}

impl Reader {
    fn open(service: &Service, i: usize) -> Self {
        let mut socket = TcpStream::connect(service.addr).expect("a connection");
        let request = request("1.1", &user(i), "");
        socket.write_all(request.as_bytes()).expect("a request");
        let patience = Some(Duration::from_secs(30));
        socket.set_read_timeout(patience).expect("an option");
        let buffer = [0; 8_192];
        let mut reader = Self { socket, buffer };
        reader.until(b"locks:snapshot");
        reader
    }

    /// Reads until a read contains `text`. It must not be cut in two.
    fn until(&mut self, text: &[u8]) {
        loop {
            let read = self.socket.read(&mut self.buffer).expect("bytes");
            assert!(read > 0, "the stream goes on");
            if self.buffer[..read]
                .windows(text.len())
                .any(|part| part == text)
            {
                return;
            }
        }
    }
}

/// Publishes one by one, and reads each on every stream. Returns the allocations meanwhile.
async fn allocations(service: &Service, readers: &mut [Reader]) -> usize {
    let region = Region::new(ALLOCATOR);
    for n in 0..EVENTS {
        service.publish(&for_team("a", n)).await;
        for reader in &mut *readers {
            reader.until(b"test:tick");
        }
    }
    region.change().allocations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the next test runs it alone"]
async fn allocations_in_a_process_of_their_own() {
    // Events of requests that are not sampled cost no more with traces than without.
    let traces = "--otlp-endpoint=http://127.0.0.1:9";
    let service = Service::with(&["--workers=1", "--heartbeat-seconds=300", traces]).await;
    let mut readers: Vec<_> = (0..10).map(|i| Reader::open(&service, i)).collect();
    allocations(&service, &mut readers).await;
    let few = allocations(&service, &mut readers).await;
    readers.extend((10..210).map(|i| Reader::open(&service, i)));
    allocations(&service, &mut readers).await;
    let before = service.metric("porchlight_stream_writes_total").await;
    let many = allocations(&service, &mut readers).await;
    let writes = service.metric("porchlight_stream_writes_total").await - before;
    let deliveries = 200 * usize::try_from(EVENTS).expect("a count");
    let more = many.saturating_sub(few);
    // Background tasks, timers and the publisher's client allocate too, more of it the longer this takes.
    assert!(
        more < deliveries / 8,
        "{more} allocations for {deliveries} deliveries"
    );
    // One system call each: a write that a socket takes whole is one.
    assert_eq!(writes, 210.0 * 200.0);
}

#[test]
fn a_delivery_allocates_nothing_and_is_one_write() {
    run_alone(ALONE);
}

/// Runs an ignored test in a process of its own.
pub(super) fn run_alone(test: &str) {
    let itself = std::env::current_exe().expect("this program");
    let run = Command::new(itself)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .expect("it runs");
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

#[tokio::test]
async fn a_thousand_clients_that_come_back_cost_few_queries() {
    const CLIENTS: usize = 1_000;
    // Without polls, which count time and not clients.
    let quiet = ["--relay-poll-ms=60000", "--poll-ms=60000"];
    let service = Service::with(&quiet).await;
    let first = service.publish(&for_team("a", 0)).await;
    for n in 1..5 {
        service.publish(&for_team("a", n)).await;
    }
    let mut database = service.database.connect().await;
    let before = transactions(&mut database).await;
    let last = format!("Last-Event-ID: {}\r\n", first[0]);
    let mut clients = Vec::new();
    for some in (0..CLIENTS).collect::<Vec<_>>().chunks(100) {
        let coming = some.iter().map(async |i| {
            let mut client = RawClient::connect(service.addr).await;
            client.send(request("1.1", &user(*i), &last)).await;
            client.until("\"n\":4").await;
            client
        });
        clients.extend(join_all(coming).await);
    }
    open_streams(&service, 1_000).await;
    let used = transactions(&mut database).await - before;
    // A few for each group of clients that connect at the same time: about 400, and more groups on a busy machine.
    let clients = i64::try_from(CLIENTS).expect("a count");
    assert!(used < clients, "{used} transactions for {CLIENTS} clients");
}
