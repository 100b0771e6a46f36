//! Coming back: nothing is missed, nothing comes twice.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Service, Token, cluster::TestDatabase, for_team, number, numbers};

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
