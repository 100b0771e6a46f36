//! How streams end, and what they send before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use porchlight::platform::Clock;
use tokio::time::Instant;

use crate::support::ends::{last_words, user};
use crate::support::own::OwnPostgres;
use crate::support::requests::{client, stream_at};
use crate::support::{Answer, Process, Publisher, Service, Token, eventually, for_team, number};

/// How late a busy machine may deliver what happened in time.
const LATE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_stream_is_warned_and_ends_with_its_token() {
    let service = Service::with(&["--expiring-seconds=2"]).await;
    let clock = Clock::system();
    let token = user(0).lasting(5);
    // The token is made when the stream is opened; its end is a whole second.
    let end = || clock.now().replace_millisecond(0).expect("a time") + Duration::from_secs(5);
    let first_end = end();
    let mut stream = service.stream("/stream/team", &token).await;
    let last_end = end();
    assert_eq!(stream.next().await.name, "stream:ready");
    let expiring = stream.next().await;
    assert_eq!(expiring.name, "stream:expiring");
    let in_seconds = expiring.json()["inSeconds"].as_u64();
    assert!(
        in_seconds.is_some_and(|seconds| seconds <= 2),
        "{expiring:?}"
    );
    service.publish(&for_team("a", 1)).await;
    assert_eq!(number(&stream.next().await), 1);
    assert_eq!(last_words(&mut stream).await["reason"], "expired");
    assert!(clock.now() <= last_end + LATE, "too late");
    let too_early = first_end - Duration::from_secs(2);
    assert!(clock.now() >= too_early, "too early");
}

#[tokio::test]
async fn the_end_of_a_token_is_by_the_services_clock() {
    let service = Service::start().await;
    service.ahead_seconds.store(96, Ordering::Relaxed);
    let opened_at = Instant::now();
    let token = user(0).lasting(100);
    let mut stream = service.stream("/stream/team", &token).await;
    assert_eq!(last_words(&mut stream).await["reason"], "expired");
    assert!(opened_at.elapsed() < Duration::from_secs(5));
    service.ahead_seconds.store(101, Ordering::Relaxed);
    let answer = Answer::to(service.get("/stream/team", &token)).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_users_sixth_stream_takes_the_place_of_the_oldest() {
    let service = Service::start().await;
    let mut streams = Vec::new();
    let mut other = service.stream("/stream", &user(1)).await;
    other.next().await;
    for path in [
        "/stream",
        "/stream/team",
        "/stream",
        "/stream/user",
        "/stream/team",
    ] {
        let mut stream = service.stream(path, &user(0)).await;
        stream.next().await;
        streams.push(stream);
    }
    let mut sixth = service.stream("/stream/team", &user(0)).await;
    assert_eq!(sixth.next().await.name, "stream:ready");
    assert_eq!(last_words(&mut streams[0]).await["reason"], "evicted");
    service.publish(&for_team("a", 7)).await;
    for stream in streams[1..3].iter_mut().chain([&mut sixth, &mut other]) {
        assert_eq!(number(&stream.next().await), 7);
    }
    let open = service.metric("porchlight_streams_open").await;
    assert!(
        (open - 6.0).abs() < 0.1,
        "five of the user and the other's, not {open}"
    );
}

#[tokio::test]
async fn streams_that_end_while_others_open_end_no_further_ones() {
    const OPENED: u32 = 60;
    let service = Service::with(&["--streams-per-user=2"]).await;
    let user = user(0);
    let opened = (0..OPENED).map(|_| service.stream("/stream/team", &user));
    let _streams = join_all(opened).await;
    let evicted = "porchlight_streams_closed_total{reason=\"evicted\"}";
    let counts = [
        (evicted, f64::from(OPENED - 2)),
        ("porchlight_streams_open", 2.0),
    ];
    for (name, expected) in counts {
        let counted = async || {
            let value = service.metric(name).await;
            ((value - expected).abs() < 0.1).then_some(())
        };
        eventually(name, counted).await;
    }
}

#[tokio::test]
async fn a_full_server_sends_streams_away_in_a_way_that_they_come_back() {
    let service = Service::with(&["--max-streams=2"]).await;
    let mut first = service.stream("/stream/team", &user(0)).await;
    let mut second = service.stream("/stream/team", &user(1)).await;
    first.next().await;
    second.next().await;
    for path in ["/stream", "/stream/team?named=false"] {
        let mut third = service.stream(path, &user(2)).await;
        assert_eq!(third.status, 200);
        assert_eq!(third.headers["content-type"], "text/event-stream");
        let received = third.rest().await;
        let [closing] = &received[..] else {
            panic!("{received:?}")
        };
        let closing = closing.json();
        assert_eq!(
            (&closing["type"], &closing["reason"]),
            (&"stream:closing".into(), &"overloaded".into())
        );
        assert!(third.retry_ms.is_some_and(|ms| ms >= 500));
    }
    // Nobody else was disturbed, and the memory is free again.
    service.publish(&for_team("a", 1)).await;
    assert_eq!(number(&first.next().await), 1);
    drop(second);
    let comes_back = async || {
        let mut third = service.stream("/stream/team", &user(2)).await;
        (third.next().await.name == "stream:ready").then_some(())
    };
    eventually("there is room again", comes_back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_the_service_says_so_and_comes_back_by_itself() {
    let mut postgres = OwnPostgres::start().await;
    let url = postgres.url();
    let patient = ("PORCHLIGHT_UNAVAILABLE_SECONDS", "120");
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url[..]), patient]).await;
    let base = process.url("");
    let mut open = stream_at(&format!("{base}/stream/team"), &user(0), true).await;
    open.next_state("locks:snapshot").await;
    postgres.go_away().await;

    let newcomer = user(1).of("new");
    let mut refused = stream_at(&format!("{base}/stream/team"), &newcomer, true).await;
    assert_eq!(refused.status, 200);
    assert_eq!(last_words(&mut refused).await["reason"], "unavailable");
    let post = client(true)
        .post(process.url("/events"))
        .json(&for_team("a", 1));
    let post = post.bearer_auth(Token::service("b").signed());
    Answer::to(post)
        .await
        .refused(503, "unconfirmed", "an event");
    let get = |path| Answer::to(client(true).get(process.url(path)));
    assert_eq!(get("/health/ready").await.status, 503);
    assert_eq!(get("/health/live").await.status, 200);

    postgres.come_back().await;
    let publisher = Publisher::new(&base);
    publisher.wait_for_service().await;
    publisher.insist("key", &for_team("a", 2)).await;
    // A client that was connected all along has lost nothing.
    assert_eq!(number(&open.next_logged().await), 2);
    let comes_back = async || {
        let mut stream = stream_at(&format!("{base}/stream/team"), &newcomer, true).await;
        (stream.next().await.name == "stream:ready").then_some(())
    };
    eventually("the newcomer is let in", comes_back).await;
}

#[tokio::test]
async fn a_stream_that_has_ended_does_not_count_among_its_users_streams() {
    let service = Service::with(&["--streams-per-user=2"]).await;
    let mut first = service.stream("/stream/team", &user(0)).await;
    first.next().await;
    for n in 0..3 {
        let mut other = service.stream("/stream/team", &user(0)).await;
        assert_eq!(other.next().await.name, "stream:ready");
        drop(other);
        let has_ended = async || {
            let open = service.metric("porchlight_streams_open").await;
            (open < 1.5).then_some(())
        };
        eventually("the other stream has ended", has_ended).await;
        service.publish(&for_team("a", n)).await;
        assert_eq!(number(&first.next().await), n);
    }
}

#[tokio::test]
async fn a_filter_does_not_apply_to_control_events() {
    let service = Service::start().await;
    let path = "/stream/team?types=nothing:*";
    let mut stream = service.resume(path, &user(0).lasting(3), "7-zzzzzz").await;
    let names: Vec<_> = stream.rest().await.into_iter().map(|m| m.name).collect();
    let expected = [
        "stream:ready",
        "stream:reset",
        "stream:expiring",
        "stream:closing",
    ];
    assert_eq!(names, expected);
}
