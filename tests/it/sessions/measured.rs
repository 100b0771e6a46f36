//! How long a revocation takes. Run it with
//! `cargo test --release --test it -- --ignored --nocapture how_long_a_revocation_takes`.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::{open, revoke, token, two_without_notices};
use crate::support::Service;
use crate::support::ends::last_words;
use crate::support::instances::two;

const ROUNDS: usize = 100;

/// From the request to the end of a stream at each instance, for each round.
async fn measure(instances: &[Service; 2], name: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let id = format!("{name}-{round}");
        let old = token("ann", &id, -5);
        let mut streams = Vec::new();
        for instance in instances {
            streams.push(open(instance, "/stream", &old).await.0);
        }
        let began = Instant::now();
        let body = json!({"tokenId": id});
        let revoking = revoke(&instances[round % 2], &body);
        let ends = join_all(streams.iter_mut().map(async |stream| {
            assert_eq!(last_words(stream).await["reason"], "revoked");
        }));
        tokio::join!(revoking, ends);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times
}

#[expect(clippy::print_stdout, reason = "it is a measurement")]
fn print(name: &str, times: &[Duration]) {
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    println!(
        "{name}: p50 {:?}, p99 {:?}, longest {:?}",
        at(50),
        at(99),
        at(100)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is a measurement"]
async fn how_long_a_revocation_takes() {
    let instances = two(&["--user-rate=0"]).await;
    print("with notices", &measure(&instances, "n").await);
    let instances = two_without_notices(&["--user-rate=0"]).await;
    print("without notices", &measure(&instances, "p").await);
}
