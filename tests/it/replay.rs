//! Coming back: nothing is missed, nothing comes twice.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::ends::user;
use crate::support::requests::stream_at;
use crate::support::{Service, Token, appending, cluster::TestDatabase, eventually};
use crate::support::{for_team, number, numbers};

fn numbered(from: u64, to: u64) -> Value {
    json!({"events": (from..to).map(|n| for_team("a", n)).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_reconnecting_client_misses_nothing() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let mut stream = service.stream("/stream/team", &token).await;
    let ready = stream.next().await;
    service.publish(&numbered(0, 300)).await;
    // Also a client that has seen no event has a cursor.
    let mut again = service.resume("/stream/team", &token, &ready.id).await;
    let seen: Vec<_> = again.logged(300).await.iter().map(number).collect();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_has_left_memory_comes_from_the_table_and_goes_on_live() {
    let database = Arc::new(TestDatabase::create().await);
    let token = Token::user("u", &["a"]);
    let first = Service::on(Arc::clone(&database), &[]).await;
    for batch in 0..10 {
        first
            .publish(&numbered(batch * 200, (batch + 1) * 200))
            .await;
    }
    first.stop().await;
    // A new process knows nothing; its memory holds a few events only.
    let service = Service::on(database, &["--memory-mb=1"]).await;
    let mut stream = service.stream("/stream/team?since=0", &token).await;
    let publishing = async {
        for batch in 10..15 {
            service
                .publish(&numbered(batch * 200, (batch + 1) * 200))
                .await;
        }
    };
    let (seen, ()) = tokio::join!(stream.logged(3_000), publishing);
    let seen: Vec<_> = seen.iter().map(number).collect();
    assert_eq!(seen, (0..3_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn since_takes_a_position_a_count_or_everything_and_the_header_wins() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let positions = service.publish(&numbered(0, 10)).await;
    service.publish(&for_team("other", 99)).await;
    for (since, expected) in [
        (positions[6].as_str(), vec![7, 8, 9]),
        ("7", vec![7, 8, 9]),
        ("-3", vec![7, 8, 9]),
        ("-100", (0..10).collect()),
        ("0", (0..10).collect()),
    ] {
        let mut stream = service
            .stream(&format!("/stream/team?since={since}"), &token)
            .await;
        let seen: Vec<_> = stream
            .logged(expected.len())
            .await
            .iter()
            .map(number)
            .collect();
        assert_eq!(seen, expected, "since={since}");
    }
    let mut stream = service
        .resume("/stream/team?since=0", &token, &positions[8])
        .await;
    assert_eq!(number(&stream.next_logged().await), 9);
    let mut stream = service.resume("/stream/team?since=-1", &token, "").await;
    assert_eq!(number(&stream.next_logged().await), 9);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_served_is_reset_and_the_stream_goes_on() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let last = service.publish(&numbered(0, 3)).await.pop().unwrap();
    let epoch = last.split_once('-').unwrap().1;
    for (cursor, reason) in [
        ("2-zzzzzz".to_owned(), "unknown"),
        ("urn:uuid:5e2b".to_owned(), "unknown"),
        (format!("4-{epoch}"), "ahead"),
        ("9999999".to_owned(), "ahead"),
    ] {
        let mut stream = service.resume("/stream/team", &token, &cursor).await;
        assert_eq!(stream.next().await.name, "stream:ready");
        let reset = stream.next().await;
        assert_eq!(reset.name, "stream:reset", "{cursor}");
        assert_eq!(reset.json()["reason"], reason, "{cursor}");
        assert_eq!(
            (&reset.id, &reset.json()["position"]),
            (&last, &json!(last)),
            "{cursor}"
        );
        let snapshot = reset.json()["snapshot"].as_str().unwrap().to_owned();
        assert!(service.list(&snapshot, &token).await["events"].is_array());
    }
    let mut stream = service.resume("/stream/team", &token, "2-zzzzzz").await;
    stream.next().await;
    stream.next().await;
    service.publish(&for_team("a", 77)).await;
    assert_eq!(number(&stream.next().await), 77);
}

#[tokio::test]
async fn since_counts_only_events_that_pass_the_filter() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let event = |n: u64| {
        let mut event = for_team("a", n);
        event["type"] = json!(if n.is_multiple_of(5) {
            "test:rare"
        } else {
            "test:often"
        });
        event["module"] = json!("escrows");
        event["recordId"] = json!(if n.is_multiple_of(4) { "e-1" } else { "e-2" });
        event
    };
    let events: Vec<_> = (0..40).map(event).collect();
    service.publish(&json!({"events": events})).await;
    for (path, expected) in [
        ("/stream/team?since=-3&types=test:rare", [25, 30, 35]),
        ("/stream/team?since=-3&records=escrows/e-1", [28, 32, 36]),
        ("/stream/records/escrows/e-1?since=-3", [28, 32, 36]),
    ] {
        let mut stream = service.stream(path, &token).await;
        let received = numbers(&stream.logged(3).await);
        assert_eq!(received, expected, "{path}");
    }
}

const QUERIES: &str = "porchlight_replay_queries_total";

/// A service with so many events of team `a`, none of which is in memory.
async fn with_old_events(events: i64) -> Service {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    for from in (0..events).step_by(1_000) {
        let events = (from..from + 1_000).map(|n| appending::numbered("a", n));
        let events_of = [("b".parse().expect("an id"), events.collect())];
        let appended = appending::append_events(&mut sql, &events_of).await;
        appended.expect("they are appended");
    }
    Service::on(database, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_missed_little_does_not_wait_for_those_that_missed_much() {
    const EVENTS: i64 = 40_000;
    const FAR_BEHIND: usize = 5;
    let service = with_old_events(EVENTS).await;
    for behind in 0..FAR_BEHIND {
        let url = service.url(&format!("/stream/team?since={}", 1 + behind * 4_000));
        tokio::spawn(async move {
            let mut stream = stream_at(&url, &user(behind), false).await;
            while stream.try_next().await.is_some() {}
        });
    }
    eventually("all of them are served", async || {
        (service.metric(QUERIES).await > 8.0).then_some(())
    })
    .await;
    let path = format!("/stream/team?since={}", EVENTS - 10);
    let mut stream = service.stream(&path, &Token::user("ann", &["a"])).await;
    let before = service.metric(QUERIES).await;
    let first = stream.next_logged().await;
    let pages = service.metric(QUERIES).await - before;
    assert_eq!(number(&first), u64::try_from(EVENTS - 10).unwrap());
    // Two for each of the others, and those that are read while a slow machine looks. The others need hundreds.
    assert!(pages < 40.0, "{pages} pages for others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_back_together_share_their_pages() {
    const EVENTS: u64 = 4_000;
    const CLIENTS: u64 = 40;
    let service = with_old_events(4_000).await;
    // Their cursors come in no order.
    let returning = (0..CLIENTS).map(async |n: u64| {
        let since = 1 + (n * 37 % CLIENTS) * (EVENTS / CLIENTS);
        let path = format!("/stream/team?since={since}");
        let mut stream = service
            .stream(&path, &Token::user(&format!("u{n}"), &["a"]))
            .await;
        while number(&stream.next_logged().await) != EVENTS - 1 {}
    });
    join_all(returning).await;
    let pages = service.metric(QUERIES).await;
    // The log has 16 pages of 256 events.
    assert!(pages <= 2.0 * 16.0 + 4.0, "{pages} pages");
}
