//! What presence does while the database is away, or an instance stands still.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use super::{QUICK, change, named, next_change, people, statuses};
use crate::support::cluster::TestDatabase;
use crate::support::own::OwnPostgres;
use crate::support::requests::{client, stream_at};
use crate::support::{Answer, Process, Service, Stream, Token, eventually};

/// Longer than a heartbeat, the lease of an instance and the grace together.
const OUTAGE: Duration = Duration::from_secs(15);
/// After this time, only people that were seen again count as here.
const SETTLED: Duration = Duration::from_secs(8);

fn variables(url: &str) -> [(&str, &str); 4] {
    [
        ("DATABASE_URL", url),
        // Streams stay open, so that they receive the changes of presence.
        ("PORCHLIGHT_UNAVAILABLE_SECONDS", "120"),
        ("PORCHLIGHT_PRESENCE_GRACE_SECONDS", "1"),
        ("PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS", "3"),
    ]
}

struct Client(reqwest::Client);

impl Client {
    fn new() -> Self {
        Self(client(true))
    }

    async fn stream(&self, process: &Process, token: &Token) -> Stream {
        stream_at(&process.url("/stream"), token, true).await
    }

    async fn is_stale(&self, process: &Process, token: &Token) -> bool {
        let request = self.0.get(process.url("/presence"));
        let list = Answer::to(request.bearer_auth(token.signed())).await.json();
        assert_eq!(list["staleSince"].is_string(), list["stale"] == true);
        list["stale"] == true
    }

    async fn post(&self, process: &Process, path: &str, token: &Token, body: &Value) -> u16 {
        let request = self.0.request(Method::POST, process.url(path));
        let request = request.bearer_auth(token.signed()).json(body);
        Answer::to(request).await.status
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_flickers_while_the_database_is_away_and_changes_are_sent_after_it() {
    let mut postgres = OwnPostgres::start().await;
    let url = postgres.url();
    let a = Process::start("127.0.0.1:0", &variables(&url)).await;
    let b = Process::start("127.0.0.1:0", &variables(&url)).await;
    let client = Client::new();
    let user = |name: &str| Token::user(name, &["t"]);
    let (bob, cat, dan) = (user("bob"), user("cat"), user("dan"));
    let mut seen_at_a = client.stream(&a, &user("ann-a")).await;
    let mut seen_at_b = client.stream(&b, &user("ann-b")).await;
    let heartbeat = json!({"session": "s"});
    for token in [&bob, &dan] {
        let status = client
            .post(&a, "/presence/heartbeat", token, &heartbeat)
            .await;
        assert_eq!(status, 200);
    }
    // Everybody knows everybody before it begins.
    for stream in [&mut seen_at_a, &mut seen_at_b] {
        let mut known = statuses(&stream.next_state("presence:snapshot").await).len();
        while known < 4 {
            assert_eq!(next_change(stream).await.1, "online");
            known += 1;
        }
    }

    let beating = async {
        let mut beats = tokio::time::interval(Duration::from_millis(500));
        loop {
            beats.tick().await;
            let status = client
                .post(&a, "/presence/heartbeat", &bob, &heartbeat)
                .await;
            assert_eq!(status, 200);
        }
    };
    let happening = async {
        postgres.go_away().await;
        let begun = tokio::time::Instant::now();
        // One comes and one goes meanwhile. The instance where it happens sends both at once.
        let came = client.post(&a, "/presence/heartbeat", &cat, &heartbeat);
        assert_eq!(came.await, 200);
        let left = client.post(&a, "/presence/leave", &dan, &heartbeat).await;
        assert_eq!(left, 204);
        assert_eq!(
            next_change(&mut seen_at_a).await,
            change("cat", "online", 5)
        );
        while begun.elapsed() < OUTAGE {
            let beaten = client.post(&a, "/presence/heartbeat", &cat, &heartbeat);
            assert_eq!(beaten.await, 200);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(client.is_stale(&a, &cat).await);
        postgres.come_back().await;
        let mut received = Vec::new();
        while received.len() < 2 {
            let beaten = client.post(&a, "/presence/heartbeat", &cat, &heartbeat);
            assert_eq!(beaten.await, 200);
            let next =
                tokio::time::timeout(Duration::from_millis(500), next_change(&mut seen_at_b));
            received.extend(next.await.map(|(user, status, _)| (user, status)));
            assert!(begun.elapsed() < 3 * OUTAGE, "{received:?}");
        }
        received.sort_unstable();
        assert_eq!(received, named(&[("cat", "online"), ("dan", "offline")]));
        assert_eq!(next_change(&mut seen_at_a).await.0, "dan");
        assert!(!client.is_stale(&a, &cat).await);
        // Cat sends no more heartbeats, and goes.
        let settled = tokio::time::sleep(SETTLED);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                () = &mut settled => break,
                seen_change = next_change(&mut seen_at_a) => assert_eq!(seen_change.0, "cat"),
                seen_change = next_change(&mut seen_at_b) => assert_eq!(seen_change.0, "cat"),
            }
        }
    };
    tokio::select! {
        () = beating => {}
        () = happening => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_at_an_instance_that_stood_still_is_here_again_when_it_goes_on() {
    let database = Arc::new(TestDatabase::create().await);
    let stays = Service::on(Arc::clone(&database), QUICK).await;
    let url = database.url();
    let still = Process::start("127.0.0.1:0", &variables(&url)).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen = stays.stream("/stream", &ann).await;
    let mut bobs = Client::new().stream(&still, &bob).await;
    bobs.next_state("presence:snapshot").await;
    assert_eq!(next_change(&mut seen).await, change("bob", "online", 2));
    still.signal(Signal::SIGSTOP);
    assert_eq!(next_change(&mut seen).await, change("bob", "offline", 1));
    still.signal(Signal::SIGCONT);
    // His stream has been open all the time.
    eventually("he is here again", || async {
        let people = people(&stays, &ann).await;
        (people == named(&[("ann", "online"), ("bob", "online")])).then_some(())
    })
    .await;
    assert_eq!(next_change(&mut seen).await, change("bob", "online", 2));
    let late = Service::on(database, QUICK).await;
    let people = people(&late, &ann).await;
    assert_eq!(people, named(&[("ann", "online"), ("bob", "online")]));
}

#[tokio::test]
async fn an_instance_that_was_suspended_does_not_report_the_others_as_gone() {
    let database = Arc::new(TestDatabase::create().await);
    let goes_on = Service::on(Arc::clone(&database), QUICK).await;
    let url = database.url();
    let still = Process::start("127.0.0.1:0", &variables(&url)).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen = Client::new().stream(&still, &ann).await;
    let heartbeat = || super::is_here(&goes_on, &bob, json!({"session": "s"}));
    heartbeat().await;
    while next_change(&mut seen).await.0 != "bob" {}
    still.signal(Signal::SIGSTOP);
    for _ in 0..14 {
        heartbeat().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    still.signal(Signal::SIGCONT);
    for _ in 0..6 {
        heartbeat().await;
        let next = tokio::time::timeout(Duration::from_millis(500), next_change(&mut seen));
        if let Ok(seen_change) = next.await {
            panic!("{seen_change:?}");
        }
    }
}
