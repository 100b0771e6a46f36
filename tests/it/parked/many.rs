//! Many streams that come and go leave nothing behind.

use futures_util::future::join_all;

use super::client::{RawClient, request};
use crate::support::cluster::TestDatabase;
use crate::support::ends::user;
use crate::support::service::metric;
use crate::support::{Process, eventually, short_or_long};

const AT_ONCE: usize = 100;
/// What the allocator and the system may keep for themselves, besides the tenth.
const ROOM_KIB: u64 = 4 << 10;

async fn come_and_go(process: &Process, streams: usize) {
    for _ in 0..streams.div_ceil(AT_ONCE) {
        let coming = (0..AT_ONCE).map(async |i| {
            let mut client = RawClient::connect(process.addr).await;
            client.send(request("1.1", &user(i), "")).await;
            client.until("stream:ready").await;
        });
        join_all(coming).await;
    }
    let metrics = process.url("/metrics");
    let are_gone = async || {
        let open = metric(&metrics, "porchlight_streams_open").await;
        (open < 0.5).then_some(())
    };
    eventually("all streams have ended", are_gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_have_gone_use_no_memory() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url)]).await;
    come_and_go(&process, 1_000).await;
    let before = process.resident_kib();
    come_and_go(&process, short_or_long(3_000, 100_000)).await;
    let after = process.resident_kib();
    assert!(
        after < before / 10 * 11 + ROOM_KIB,
        "{before} KiB before, {after} KiB after"
    );
}
