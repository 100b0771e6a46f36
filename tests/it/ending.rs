//! How streams end, and what clients are told then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal;
use porchlight::clock::Clock;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::cluster::TestDatabase;
use crate::support::ledger::{self, Books};
use crate::support::own::OwnPostgres;
use crate::support::{
    Process, Publisher, Service, Stream, Token, eventually, for_team, number, slow,
};

/// What a process is given to stop in.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How late a busy machine may tell us what happened in time.
const LATE: Duration = Duration::from_millis(250);

fn user(i: usize) -> Token {
    Token::user(&format!("u{i}"), &["a"])
}

async fn stream_at(base: &str, path: &str, token: &Token) -> Stream {
    let client = reqwest::Client::builder().no_proxy().build();
    let request = client.expect("a client").get(format!("{base}{path}"));
    Stream::open(request.bearer_auth(token.signed())).await
}

/// The last words of a stream that ends.
async fn last_words(stream: &mut Stream) -> Value {
    let last = stream.rest().await.pop().expect("last words");
    assert_eq!(last.name, "stream:closing", "{last:?}");
    let last = last.json();
    assert_eq!(last["retryMs"].as_u64(), stream.retry_ms);
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_told_to_every_stream_and_loses_no_acknowledged_event() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let mut process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url)]).await;
    let base = process.url("");
    let mut streams = Vec::new();
    for i in 0..30 {
        let mut stream = stream_at(&base, "/stream/team", &user(i)).await;
        stream.next().await;
        streams.push(stream);
    }
    let mut publishing = JoinSet::new();
    for i in 0..4 {
        publishing.spawn(publish_until_refused(Publisher::new(&base), i * 1_000_000));
    }
    let secret = user(0).signed();
    let path = format!("/stream?access_token={secret}");
    stream_at(&base, &path, &user(0)).await.next().await;
    streams[0].logged(200).await;
    let stopping_at = Instant::now();
    process.signal(Signal::SIGTERM);
    let mut retries = Vec::new();
    for stream in &mut streams {
        let closing = last_words(stream).await;
        assert_eq!(closing["reason"], "drain");
        retries.extend(closing["retryMs"].as_u64());
    }
    assert_eq!(process.exit_code().await, Some(0));
    assert!(stopping_at.elapsed() < STOP_LIMIT);
    let log = process.log.lock().expect("a log").clone();
    assert!(log.contains("stopped") && !log.contains(&secret), "{log}");
    // Spread over the window, so that they do not all come back at once.
    assert!(retries.iter().all(|ms| (500..=5_000).contains(ms)));
    let (least, most) = (retries.iter().min(), retries.iter().max());
    assert!(
        most.zip(least)
            .is_some_and(|(most, least)| most - least > 1_500)
    );
    let mut books = Books::default();
    let published = publishing.join_all().await;
    for part in published {
        books.add(part);
    }
    let log = ledger::log(&mut database.connect().await).await;
    ledger::check_log(&log, &books);
}

/// Publishes one by one until there is no acknowledgement.
async fn publish_until_refused(publisher: Publisher, from: i64) -> Books {
    let mut books = Books::default();
    for n in from.. {
        let event = for_team("a", u64::try_from(n).expect("a number"));
        let Some(positions) = publisher.once(&event).await else {
            books.unsure.push(n);
            break;
        };
        books.acknowledge(&positions, &[n]);
    }
    books
}

/// A process that cannot stop at once: somebody does not read what it still has to say.
async fn held_up(url: &str) -> (Process, Stream, Stream) {
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", url)]).await;
    let (base, token) = (process.url(""), user(0));
    let mut reading = stream_at(&base, "/stream/team", &token).await;
    let stopped = slow::open(process.addr, "/stream/team", &token).await;
    let publisher = Publisher::new(&base);
    let padding = "x".repeat(20_000);
    for n in 0..50 {
        let event = serde_json::json!({"type": "test:tick", "audience": {"team": "a"},
            "data": {"n": n, "padding": padding}});
        let events = serde_json::json!({"events": vec![event; 10]});
        publisher.insist(&format!("key-{n}"), &events).await;
    }
    reading.logged(500).await;
    (process, reading, stopped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_readers_who_do_not_read() {
    let database = TestDatabase::create().await;
    let (mut process, mut reading, _stopped) = held_up(&database.url()).await;
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let ready = async || {
        let answer = client.get(process.url("/health/ready")).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    };
    assert_eq!(ready().await, Some(200));
    let stopping_at = Instant::now();
    process.signal(Signal::SIGTERM);
    assert_eq!(last_words(&mut reading).await["reason"], "drain");
    // Over the connection that it has, or not at all.
    let is_unready = async || (ready().await != Some(200)).then_some(());
    eventually("it is not ready any more", is_unready).await;
    // Whoever comes now is refused, and does not wait for an answer that never comes.
    let is_shut = async || {
        TcpStream::connect(process.addr)
            .await
            .is_err()
            .then_some(())
    };
    eventually("nobody is let in", is_shut).await;
    assert!(stopping_at.elapsed() < Duration::from_secs(3));
    assert_eq!(process.exit_code().await, Some(0));
    assert!(stopping_at.elapsed() < STOP_LIMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let database = TestDatabase::create().await;
    let (mut process, mut reading, _stopped) = held_up(&database.url()).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(last_words(&mut reading).await["reason"], "drain");
    let again_at = Instant::now();
    process.signal(Signal::SIGTERM);
    assert_eq!(process.exit_code().await, Some(130));
    assert!(again_at.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_stream_is_warned_and_ends_with_its_token() {
    let service = Service::with(&["--expiring-seconds=2"]).await;
    let clock = Clock::system();
    let token = user(0).lasting(5);
    let mut stream = service.stream("/stream/team", &token).await;
    // The token was made by now; its end is a whole second.
    let end = clock.now().replace_millisecond(0).expect("a time") + Duration::from_secs(5);
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
    assert!(clock.now() <= end + LATE, "too late");
    assert!(clock.now() >= end - Duration::from_secs(2), "too early");
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
    let answer = service.get("/stream/team", &token).send().await;
    assert_eq!(answer.expect("an answer").status(), 401);
}

#[tokio::test]
async fn clients_of_a_service_that_stops_come_back_over_the_window_that_it_names() {
    let service = Service::with(&["--drain-spread-seconds=60"]).await;
    let mut streams = Vec::new();
    for i in 0..30 {
        let mut stream = service.stream("/stream/team", &user(i)).await;
        stream.next().await;
        streams.push(stream);
    }
    service.begin_stop();
    let mut retries = Vec::new();
    for stream in &mut streams {
        let closing = last_words(stream).await;
        assert_eq!(closing["reason"], "drain");
        retries.extend(closing["retryMs"].as_u64());
    }
    assert!(retries.iter().all(|ms| (500..=60_000).contains(ms)));
    assert!(retries.iter().any(|ms| *ms > 15_000), "{retries:?}");
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
        let told = third.rest().await;
        let [closing] = &told[..] else {
            panic!("{told:?}")
        };
        let closing = closing.json();
        assert_eq!(
            (&closing["type"], &closing["reason"]),
            (&"stream:closing".into(), &"overloaded".into())
        );
        assert!(third.retry_ms.is_some_and(|ms| ms >= 500));
    }
    // Nobody else was hurt, and room is given back.
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
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url[..])]).await;
    let base = process.url("");
    let mut open = stream_at(&base, "/stream/team", &user(0)).await;
    open.next().await;
    postgres.go_away().await;

    let newcomer = user(1).of("new");
    let mut refused = stream_at(&base, "/stream/team", &newcomer).await;
    assert_eq!(refused.status, 200);
    assert_eq!(last_words(&mut refused).await["reason"], "unavailable");
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let post = client.post(process.url("/events")).json(&for_team("a", 1));
    let post = post.bearer_auth(Token::service("b").signed());
    let answer = post.send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["code"], "unconfirmed");
    let ready = client.get(process.url("/health/ready")).send().await;
    assert_eq!(ready.expect("an answer").status(), 503);
    let live = client.get(process.url("/health/live")).send().await;
    assert_eq!(live.expect("an answer").status(), 200);

    postgres.come_back().await;
    let publisher = Publisher::new(&base);
    publisher.wait_for_service().await;
    publisher.insist("key", &for_team("a", 2)).await;
    // Who was there all along has lost nothing.
    assert_eq!(number(&open.next_logged().await), 2);
    let comes_back = async || {
        let mut stream = stream_at(&base, "/stream/team", &newcomer).await;
        (stream.next().await.name == "stream:ready").then_some(())
    };
    eventually("the newcomer is let in", comes_back).await;
}
