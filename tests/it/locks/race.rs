//! Many clients, two instances, one lock.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{agent, send, two};
use crate::support::instances::cut_connections;
use crate::support::{Service, short_or_long};

const CLIENTS: usize = 64;
/// Clients that race for what was just released.
const RACERS: usize = 8;

/// What all clients have seen.
#[derive(Default)]
struct RaceRecord {
    /// Who believes to hold it: 0 for nobody.
    holder: AtomicUsize,
    /// Every grant, in order: fence and user.
    grants: Mutex<Vec<(i64, String)>>,
    lost: Mutex<Vec<(i64, String)>>,
    released: Notify,
}

fn enough_grants() -> usize {
    short_or_long(250, 1_000)
}

impl RaceRecord {
    fn is_done(&self) -> bool {
        self.grants.lock().unwrap().len() >= enough_grants()
    }
}

async fn client(n: usize, service: &Service, pool: &PgPool, record: &RaceRecord) {
    let token = agent(&format!("u-{n}"));
    let body = json!({"module": "escrows", "recordId": "e-1", "session": "tab"});
    while !record.is_done() {
        let answer = send(service, &token, Method::POST, "/locks", &body).await;
        let received = answer.json();
        let known = |lock: &serde_json::Value| {
            let holder = lock["holder"]["userId"].as_str().expect("a user");
            (lock["fence"].as_i64().expect("a fence"), holder.to_owned())
        };
        match answer.status {
            201 => {
                assert_eq!(
                    record.holder.swap(n + 1, Ordering::SeqCst),
                    0,
                    "two holders"
                );
                let (fence, user) = known(&received);
                assert_eq!(user, token.user);
                record.grants.lock().unwrap().push((fence, user));
                write_as_holder(pool, fence).await;
                assert_eq!(
                    record.holder.swap(0, Ordering::SeqCst),
                    n + 1,
                    "two holders"
                );
                release(service, &token).await;
                (0..RACERS).for_each(|_| record.released.notify_one());
            }
            409 => {
                record.lost.lock().unwrap().push(known(&received["lock"]));
                record.released.notified().await;
            }
            503 => assert_eq!(received["code"], "busy"),
            status => panic!("{status}: {received}"),
        }
    }
    record.released.notify_waiters();
    record.released.notify_one();
}

async fn write_as_holder(pool: &PgPool, fence: i64) {
    let mut transaction = pool.begin().await.expect("a transaction");
    sqlx::query("select porchlight.check_fence('b', 'escrows', 'e-1', $1)")
        .bind(fence)
        .execute(&mut *transaction)
        .await
        .expect("the fence holds");
    transaction.commit().await.expect("a commit");
}

async fn release(service: &Service, token: &crate::support::Token) {
    let path = "/locks/escrows/e-1?session=tab";
    loop {
        let answer = send(service, token, Method::DELETE, path, &json!(null)).await;
        if answer.status == 204 {
            return;
        }
        answer.refused(503, "busy", "a release");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_have_one_winner_each_and_every_loser_knows_it() {
    let instances = two(&[]).await;
    let pool = PgPoolOptions::new().max_connections(4);
    let pool = pool.connect_lazy_with(instances[0].database.options());
    let record = RaceRecord::default();
    let clients = (0..CLIENTS).map(|n| client(n, &instances[n % 2], &pool, &record));
    join_all(clients).await;
    let grants = record.grants.into_inner().unwrap();
    let lost = record.lost.into_inner().unwrap();
    // No fence is left out either: each was granted to somebody who knows.
    let fences: Vec<_> = grants.iter().map(|(fence, _)| *fence).collect();
    assert!(
        fences.iter().copied().eq((1..).take(fences.len())),
        "{fences:?}"
    );
    let winners: HashMap<_, _> = grants.into_iter().collect();
    for (fence, user) in &lost {
        assert_eq!(winners.get(fence), Some(user), "at fence {fence}");
    }
    assert!(
        lost.len() > enough_grants(),
        "hardly a race: {} lost",
        lost.len()
    );
    // The log has it all, in order.
    let mut connection = instances[0].database.connect().await;
    let sql = "select string_agg(type, ' ' order by position) from porchlight.events";
    let log: String = sqlx::query_scalar(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let expected = vec!["escrow:locked escrow:unlocked"; fences.len()];
    assert_eq!(log, expected.join(" "));
}

/// Locks and unlocks `times` times, whatever the connections do.
async fn insist(n: usize, service: &Service, times: usize) {
    let token = agent(&format!("u-{n}"));
    let body = json!({"module": "escrows", "recordId": "e-1", "session": "tab"});
    let mut held = 0;
    while held < times {
        let answer = send(service, &token, Method::POST, "/locks", &body).await;
        match answer.status {
            // A grant whose answer was lost is joined by the retry.
            200 | 201 => held += 1,
            409 | 503 => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            status => panic!("{status}: {}", answer.text),
        }
        loop {
            let path = "/locks/escrows/e-1?session=tab";
            let answer = send(service, &token, Method::DELETE, path, &json!(null)).await;
            match answer.status {
                204 | 404 => break,
                // Gone, and somebody else's by now.
                409 if answer.json()["code"] == "locked" => break,
                503 => {}
                status => panic!("{status}: {}", answer.text),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_again_and_again_leave_every_lock_with_one_end() {
    let instances = two(&["--poll-ms=100"]).await;
    let mut stream = instances[1].stream("/stream", &agent("eve")).await;
    // A stream that cannot be given a snapshot ends, and is opened again.
    stream.next_state("locks:snapshot").await;
    let done = CancellationToken::new();
    let cutting = cut_connections(&instances[0].database, "true", &done);
    let times = short_or_long(6, 20);
    let locking = async {
        join_all((0..8).map(|n| insist(n, &instances[n % 2], times))).await;
        done.cancel();
    };
    let (cuts, ()) = tokio::join!(cutting, locking);
    assert!(cuts > times, "only {cuts} connections were cut");
    let mut connection = instances[0].database.connect().await;
    let sql = "select type, (data->>'fence')::bigint from porchlight.events order by position";
    let log: Vec<(String, i64)> = sqlx::query_as(sql)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let is_pair = |(n, two): (usize, &[(String, i64)])| {
        let fence = i64::try_from(n + 1).unwrap();
        two[0] == ("escrow:locked".to_owned(), fence)
            && two[1] == ("escrow:unlocked".to_owned(), fence)
    };
    assert!(log.chunks_exact(2).enumerate().all(is_pair), "{log:?}");
    assert!(
        log.len() >= 2 * 8 * times && log.len().is_multiple_of(2),
        "{log:?}"
    );
    let received = stream.logged(log.len()).await;
    let received = received.into_iter().map(|message| {
        let fence = message.json()["data"]["fence"].as_i64().unwrap();
        (message.name, fence)
    });
    assert!(received.eq(log));
}
