//! After a reset, a stream shows again what is locked: the lock events that it has skipped are not repeated.

use serde_json::json;
use sqlx::Executor;

use super::seeing::{fences, held_by_a_client};
use super::{agent, lock, locks, two};
use crate::support::{Service, Stream, for_team};

/// Runs a statement on the database of this instance.
async fn run(service: &Service, sql: &'static str) {
    let mut connection = service.database.connect().await;
    connection.execute(sql).await.expect(sql);
}

/// After a reset, the client of this stream knows what is held.
async fn assert_knows_what_is_held(service: &Service, mut stream: Stream) {
    // It would skip a marker that came before.
    while stream.next().await.name != "stream:reset" {}
    let marker = json!({"type": "test:marker", "audience": {"team": "a"}});
    service.publish(&marker).await;
    let held = locks(service, &agent("bob"), "").await;
    assert_eq!(held.len(), 1);
    assert_eq!(fences(&held_by_a_client(stream).await), fences(&held));
}

#[tokio::test]
async fn a_lock_that_is_taken_as_the_log_gets_a_new_epoch_is_in_the_snapshot_after_the_reset() {
    let service = &Service::with(&["--poll-ms=60000"]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let mut streams = [
        service.stream("/stream", &bob).await,
        service.stream("/stream?batch=100", &bob).await,
    ];
    let mut without = service.stream("/stream?types=test:*", &bob).await;
    for stream in &mut streams {
        stream.next_state("locks:snapshot").await;
    }
    run(service, "update porchlight.brokers set epoch = 'zzzzzz'").await;
    assert_eq!(lock(service, &ann, "e-1", "tab").await.status, 201);
    for stream in streams {
        assert_knows_what_is_held(service, stream).await;
    }
    // A stream that excludes these events has no snapshot after a reset either.
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "test:marker") {
        names.push(without.next_of_all().await.name);
    }
    let has = |name: &str| names.iter().any(|one| one == name);
    assert!(has("stream:reset") && !has("locks:snapshot"), "{names:?}");
}

#[tokio::test]
async fn a_lock_between_the_snapshot_and_the_reset_of_an_expired_cursor_is_in_the_next_snapshot() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let old = b.publish(&for_team("a", 0)).await;
    b.publish(&for_team("a", 1)).await;
    // Its snapshot serves the next stream, too.
    let mut first = a.stream("/stream", &bob).await;
    first.next_state("locks:snapshot").await;
    assert_eq!(lock(a, &ann, "e-1", "tab").await.status, 201);
    let expire = "delete from porchlight.events where position <= 2;
        update porchlight.brokers set horizon = 2";
    run(a, expire).await;
    let path = format!("/stream?since={}", old[0]);
    let late = a.stream(&path, &bob).await;
    assert_knows_what_is_held(a, late).await;
}
