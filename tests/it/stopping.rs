//! How the service stops: every stream ends with a reason, nothing acknowledged is lost, nobody
//! waits.

mod arrived;

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::cluster::TestDatabase;
use crate::support::ends::{last_words, user};
use crate::support::ledger::{self, Ledger};
use crate::support::requests::{client, stream_at};
use crate::support::{Answer, Process, Publisher, Service, Stream, eventually, for_team, slow};

/// The time in which a process must stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_announced_on_every_stream_and_loses_no_acknowledged_event() {
    stop_while_events_are_published("2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_one_thread_stops_as_well() {
    stop_while_events_are_published("1").await;
}

/// A process with so many workers.
async fn serving(database: &TestDatabase, workers: &str) -> Process {
    let url = database.url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("PORCHLIGHT_WORKERS", workers),
    ];
    Process::start("127.0.0.1:0", &settings).await
}

async fn stop_while_events_are_published(workers: &str) {
    let database = TestDatabase::create().await;
    let mut process = serving(&database, workers).await;
    let base = process.url("");
    let mut streams = Vec::new();
    for i in 0..30 {
        let mut stream = stream_at(&format!("{base}/stream/team"), &user(i), true).await;
        stream.next().await;
        streams.push(stream);
    }
    let mut publishing = JoinSet::new();
    for i in 0..4 {
        publishing.spawn(publish_until_refused(Publisher::new(&base), i * 1_000_000));
    }
    let secret = user(0).signed();
    let path = format!("/stream?access_token={secret}");
    stream_at(&format!("{base}{path}"), &user(0), true)
        .await
        .next()
        .await;
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
    assert!(retries.iter().all(|ms| (500..=4_000).contains(ms)));
    let (least, most) = (retries.iter().min(), retries.iter().max());
    assert!(
        most.zip(least)
            .is_some_and(|(most, least)| most - least > 1_500)
    );
    let mut acknowledgements = Ledger::default();
    let published = publishing.join_all().await;
    for part in published {
        acknowledgements.add(part);
    }
    let log = ledger::log(&mut database.connect().await).await;
    ledger::check_log(&log, &acknowledgements);
}

/// Publishes one by one until there is no acknowledgement.
async fn publish_until_refused(publisher: Publisher, from: i64) -> Ledger {
    let mut acknowledgements = Ledger::default();
    for n in from.. {
        let event = for_team("a", u64::try_from(n).expect("a number"));
        let Some(positions) = publisher.once(&event).await else {
            acknowledgements.unsure.push(n);
            break;
        };
        acknowledgements.acknowledge(&positions, &[n]);
    }
    acknowledgements
}

/// A process that cannot stop at once: a client does not read what is still to be sent.
async fn held_up(url: &str) -> (Process, Stream, Stream) {
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", url)]).await;
    let (base, token) = (process.url(""), user(0));
    let mut reading = stream_at(&format!("{base}/stream/team"), &token, true).await;
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
    let client = client(true);
    let ready = async || {
        let answer = Answer::try_to(client.get(process.url("/health/ready")));
        answer.await.ok().map(|answer| answer.status)
    };
    assert_eq!(ready().await, Some(200));
    let stopping_at = Instant::now();
    process.signal(Signal::SIGTERM);
    assert_eq!(last_words(&mut reading).await["reason"], "drain");
    // Over the connection that it has, or not at all.
    let is_unready = async || (ready().await != Some(200)).then_some(());
    eventually("it is not ready any more", is_unready).await;
    // A new request is refused, and does not wait for ever.
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
