//! What is removed from the log, and what clients with an older cursor get.

mod visibility;

use std::sync::Arc;

use porchlight::log::RetentionSettings;
use porchlight::log::retention::{self, Deletions};
use porchlight::platform::Pool;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::appending::{append_events, numbered};
use crate::support::cluster::TestDatabase;
use crate::support::people::agent;
use crate::support::sse::next_reset;
use crate::support::{Answer, Service, eventually, for_team, number, numbers, slow};

const TEAM: &str = "/stream/team";

async fn pool(database: &TestDatabase) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(4);
    let pool = pool.connect_with(database.options()).await;
    pool.expect("connections")
}

/// Keeps so many events, and none that are older than an hour.
async fn keep(pool: &PgPool, events: i64) -> u64 {
    keep_within(pool, 1, events).await
}

async fn keep_within(pool: &PgPool, hours: u32, events: i64) -> u64 {
    let settings = RetentionSettings {
        retention_hours: hours,
        retention_events: events,
        retention_interval_seconds: 60,
    };
    sweep(pool, &settings, Instant::now() + retention::LONGEST_SWEEP).await
}

async fn sweep(pool: &PgPool, settings: &RetentionSettings, until: Instant) -> u64 {
    // The service sweeps too, when it starts: then this one has nothing to say.
    let pool = Pool::from(pool.clone());
    let deletion = |module: &str, name: &str| (module.parse().unwrap(), name.parse().unwrap());
    let deletions = Deletions::of([deletion("escrows", "escrow:deleted")]);
    let done = async || {
        let removed = retention::run(&pool, settings, &deletions, until).await;
        removed.ok().filter(|n| *n > 0)
    };
    eventually("events are removed", done).await
}

async fn publish(service: &Service, from: u64, to: u64) -> Vec<String> {
    let mut positions = Vec::new();
    for first in (from..to).step_by(500) {
        let events: Vec<_> = (first..to.min(first + 500))
            .map(|n| for_team("a", n))
            .collect();
        positions.extend(service.publish(&json!({"events": events})).await);
    }
    positions
}

/// Oldest and newest position that are left, and the horizon.
async fn kept(pool: &PgPool) -> (i64, i64, i64) {
    let sql = "select min(e.position), max(e.position), min(b.horizon) from porchlight.events e
               join porchlight.brokers b using (broker_id)";
    sqlx::query_as(sql).fetch_one(pool).await.expect("a log")
}

#[tokio::test]
async fn too_many_events_go_and_the_horizon_moves_with_them() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    publish(&service, 0, 4_000).await;
    assert_eq!(kept(&pool).await, (1, 4_000, 0));
    // Whoever looks meanwhile sees everything from the horizon on, and nothing before it.
    let done = CancellationToken::new();
    let sql = "select b.horizon, min(e.position), count(*) from porchlight.brokers b
               join porchlight.events e using (broker_id) group by b.horizon";
    let looking = async {
        let mut horizons = vec![0];
        while !done.is_cancelled() {
            let look = sqlx::query_as(sql).fetch_one(&pool).await;
            let (horizon, oldest, count): (i64, i64, i64) = look.expect("a look");
            assert_eq!((oldest, count), (horizon + 1, 4_000 - horizon));
            horizons.push(horizon);
        }
        horizons.dedup();
        horizons
    };
    let sweeping = async {
        let removed = keep(&pool, 100).await;
        done.cancel();
        removed
    };
    let (horizons, removed) = tokio::join!(looking, sweeping);
    assert_eq!(removed, 3_900);
    let is_step = |horizon: &i64| horizon % 1_000 == 0 || *horizon == 3_900;
    assert!(horizons.iter().all(is_step), "{horizons:?}");
    assert!(horizons.is_sorted());
    assert_eq!(kept(&pool).await, (3_901, 4_000, 3_900));
}

#[tokio::test]
async fn with_the_longest_time_the_number_still_holds() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    publish(&service, 0, 300).await;
    assert_eq!(keep_within(&pool, 876_000, 100).await, 200);
    assert_eq!(kept(&pool).await, (201, 300, 200));
}

#[tokio::test]
async fn a_sweep_whose_time_is_over_leaves_the_rest_for_the_next() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    publish(&service, 0, 2_500).await;
    let settings = RetentionSettings {
        retention_hours: 1,
        retention_events: 100,
        retention_interval_seconds: 60,
    };
    for (removed, horizon) in [(1_000, 1_000), (1_000, 2_000), (400, 2_400)] {
        assert_eq!(sweep(&pool, &settings, Instant::now()).await, removed);
        assert_eq!(kept(&pool).await, (horizon + 1, 2_500, horizon));
    }
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    publish(&service, 0, 300).await;
    for old in [100, 250] {
        let sql = "update porchlight.events set created_at = created_at - interval '61 minutes'
                   where position <= $1";
        let aged = sqlx::query(sql).bind(old).execute(&pool).await;
        aged.expect("older events");
        keep(&pool, 1_000).await;
        assert_eq!(kept(&pool).await, (old + 1, 300, old));
    }
    let sql = "update porchlight.events set created_at = created_at - interval '61 minutes'";
    let aged = sqlx::query(sql).execute(&pool).await;
    aged.expect("older events");
    assert_eq!(keep(&pool, 1_000).await, 50);
    // The log is empty, and goes on where it was.
    let positions = publish(&service, 300, 301).await;
    assert!(positions[0].starts_with("301-"));
    assert_eq!(kept(&pool).await, (301, 301, 300));
}

#[tokio::test]
async fn the_service_does_it_by_itself() {
    let flags = ["--retention-events=10", "--retention-interval-seconds=1"];
    let service = Service::with(&flags).await;
    let pool = pool(&service.database).await;
    publish(&service, 0, 50).await;
    let is_swept = async || (kept(&pool).await == (41, 50, 40)).then_some(());
    eventually("old events are gone", is_swept).await;
    let received =
        async || (service.metric("porchlight_events_removed_total").await >= 40.0).then_some(());
    eventually("the metric says so", received).await;
}

#[tokio::test]
async fn a_cursor_from_before_the_horizon_is_reset_and_goes_on_from_the_head() {
    // A service that has just begun has nothing in memory.
    let database = Arc::new(TestDatabase::create().await);
    let first = Service::on(Arc::clone(&database), &[]).await;
    let positions = publish(&first, 0, 300).await;
    first.stop().await;
    keep(&pool(&database).await, 100).await;
    let service = Service::on(database, &[]).await;
    // 200 is the horizon: the last one who has missed nothing.
    let mut stream = service.resume(TEAM, &agent("u"), &positions[199]).await;
    let numbers: Vec<_> = stream.logged(100).await.iter().map(number).collect();
    assert!(numbers.into_iter().eq(200..300));
    let mut stream = service.resume(TEAM, &agent("u"), &positions[198]).await;
    let reset = next_reset(&mut stream).await;
    assert_eq!(reset.json()["reason"], "expired");
    assert_eq!(reset.json()["position"], positions[299]);
    assert_eq!(reset.id, positions[299]);
    publish(&service, 300, 301).await;
    assert_eq!(number(&stream.next_logged().await), 300);
    // `since=0` starts with the oldest event that is left.
    let path = "/stream/team?since=0";
    let mut stream = service.stream(path, &agent("u")).await;
    let ready = stream.next().await;
    assert_eq!((&ready.name[..], ready.position()), ("stream:ready", 200));
    assert_eq!(number(&stream.next().await), 200);
}

#[tokio::test]
async fn a_list_from_before_the_horizon_is_refused() {
    let service = Service::start().await;
    let positions = publish(&service, 0, 300).await;
    keep(&pool(&service.database).await, 100).await;
    for (after, status) in [(&positions[198], 410), (&positions[199], 200)] {
        let path = format!("/events?scope=team&after={after}");
        let answer = Answer::to(service.get(&path, &agent("u"))).await;
        assert_eq!(answer.status, status, "{after}");
        let answer = answer.json();
        match status {
            410 => {
                assert_eq!(answer["code"], "cursor_expired");
                assert_eq!(answer["position"], positions[299]);
            }
            _ => assert_eq!(answer["events"][0]["data"]["n"], 200),
        }
    }
    let all = service
        .list("/events?scope=team&after=0", &agent("u"))
        .await;
    assert_eq!(all["events"][0]["data"]["n"], 200);
}

#[tokio::test]
async fn a_stream_that_falls_behind_the_horizon_is_reset_and_skips_nothing_silently() {
    const EVENTS: u64 = 20_000;
    let service = Service::with(&["--memory-mb=1"]).await;
    let pool = pool(&service.database).await;
    let padding = "x".repeat(400);
    for first in (0..EVENTS).step_by(400) {
        let event = |n| {
            let data = json!({"n": n, "padding": padding});
            json!({"type": "test:tick", "audience": {"team": "a"}, "data": data})
        };
        let events: Vec<_> = (first..first + 400).map(event).collect();
        service.publish(&json!({"events": events})).await;
    }
    let mut stream = slow::open(service.addr, "/stream/team?since=0", &agent("u")).await;
    let mut last = stream.logged(1_000).await.pop().expect("an event");
    // It does not read while most of its events are removed.
    keep(&pool, 10).await;
    let reset = loop {
        let message = stream.next().await;
        if message.name == "stream:reset" {
            break message;
        }
        if message.is_logged() {
            assert_eq!(message.position(), last.position() + 1);
            last = message;
        }
    };
    assert_eq!(reset.json()["reason"], "expired");
    assert_eq!(reset.position(), 20_000);
    assert!(last.position() < 19_990, "it never fell behind");
    publish(&service, EVENTS, EVENTS + 1).await;
    assert_eq!(stream.next_logged().await.position(), 20_001);
}

#[tokio::test]
async fn cursors_of_the_original_mean_nothing_to_a_copy() {
    let database = Arc::new(TestDatabase::create().await);
    let original = Service::on(Arc::clone(&database), &[]).await;
    let positions = publish(&original, 0, 10).await;
    original.stop().await;
    // As if these rows had come from another cluster.
    let sql = "update porchlight.origin set system_identifier = 'another'";
    let mut connection = database.connect().await;
    let copied = sqlx::query(sql).execute(&mut connection).await;
    copied.expect("a copy");
    let copy = Service::on(Arc::clone(&database), &[]).await;
    let mut stream = copy.resume(TEAM, &agent("u"), &positions[4]).await;
    let reset = next_reset(&mut stream).await;
    assert_eq!(reset.json()["reason"], "unknown");
    assert_eq!(reset.position(), 10);
    let (_, old) = positions[9].split_once('-').expect("an epoch");
    assert!(!reset.id.ends_with(old));
    let path = format!("/events?after={}", positions[4]);
    let answer = Answer::to(copy.get(&path, &agent("u"))).await;
    answer.refused(410, "cursor_unknown", "a position of the original");
    publish(&copy, 10, 11).await;
    assert_eq!(number(&stream.next_logged().await), 10);
    // The copy is an original from here on.
    copy.stop().await;
    let again = Service::on(database, &[]).await;
    let mut stream = again.resume(TEAM, &agent("u"), &reset.id).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    assert_eq!(number(&stream.next().await), 10);
}

#[tokio::test]
async fn a_log_that_is_replaced_under_a_running_service_resets_its_streams() {
    let database = Arc::new(TestDatabase::create().await);
    let first = Service::on(Arc::clone(&database), &[]).await;
    publish(&first, 0, 10).await;
    first.stop().await;
    // The ring of this service is empty; its replay cache has a page of the old log.
    let service = Service::on(Arc::clone(&database), &["--poll-ms=50"]).await;
    let path = "/stream/team?since=0";
    let mut stream = service.stream(path, &agent("u")).await;
    assert_eq!(stream.logged(10).await[9].position(), 10);
    let replace = "with replaced as (update porchlight.brokers set epoch = 'other')
        update porchlight.events set data = json_build_object('n', position + 100)";
    let mut connection = database.connect().await;
    let replaced = sqlx::query(replace).execute(&mut connection).await;
    replaced.expect("another log");
    let reset = next_reset(&mut stream).await;
    assert_eq!(reset.json()["reason"], "unknown");
    assert_eq!(reset.id, "10-other");
    let mut late = service.stream(path, &agent("u")).await;
    let received = numbers(&late.logged(10).await);
    assert_eq!(received, (101..=110).collect::<Vec<_>>());
    assert_eq!(late.last_id, "10-other");
    publish(&service, 111, 112).await;
    for stream in [&mut stream, &mut late] {
        let next = stream.next().await;
        assert_eq!((&next.id[..], number(&next)), ("11-other", 111));
    }
}

#[tokio::test]
async fn a_gap_that_retention_left_in_unread_events_resets_streams() {
    let service = Service::with(&["--poll-ms=50"]).await;
    let mut stream = service.stream(TEAM, &agent("u")).await;
    assert_eq!(stream.next().await.position(), 0);
    // Before the service reads these events, most of them are gone.
    let mut connection = service.database.connect().await;
    let mut transaction = connection.begin().await.expect("a transaction");
    let events = (0..50).map(|n| numbered("a", n)).collect();
    let events = [("b".parse().expect("an id"), events)];
    append_events(&mut transaction, &events)
        .await
        .expect("appended");
    let remove = "with horizon as (update porchlight.brokers set horizon = 40)
        delete from porchlight.events where position <= 40";
    let removed = sqlx::query(remove).execute(&mut *transaction).await;
    assert_eq!(removed.expect("fewer events").rows_affected(), 40);
    transaction.commit().await.expect("a commit");
    let reset = next_reset(&mut stream).await;
    assert_eq!(reset.json()["reason"], "expired");
    assert_eq!(reset.position(), 50);
    publish(&service, 50, 51).await;
    assert_eq!(stream.next().await.position(), 51);
}
