//! What presence does while the database is away, or an instance stands still.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use super::{QUICK, change, named, next_change, people, statuses};
use crate::support::cluster::TestDatabase;
use crate::support::own::OwnPostgres;
use crate::support::{Process, Service, Stream, Token, eventually};

/// Longer than a heartbeat, the lease of an instance and the grace together.
const OUTAGE: Duration = Duration::from_secs(15);
/// Then nobody is trusted any more who has not been seen after it.
const SETTLED: Duration = Duration::from_secs(8);

fn variables(url: &str) -> [(&str, &str); 4] {
    [
        ("DATABASE_URL", url),
        // Streams stay, so that they hear what presence tells.
        ("PORCHLIGHT_UNAVAILABLE_SECONDS", "120"),
        ("PORCHLIGHT_PRESENCE_GRACE_SECONDS", "1"),
        ("PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS", "3"),
    ]
}

struct Client(reqwest::Client);

impl Client {
    fn new() -> Self {
        let client = reqwest::Client::builder().no_proxy().build();
        Self(client.expect("a client"))
    }

    async fn stream(&self, process: &Process, token: &Token) -> Stream {
        let request = self.0.get(process.url("/stream"));
        Stream::open(request.bearer_auth(token.signed())).await
    }

    async fn post(&self, (process, path): (&Process, &str), token: &Token, body: &Value) -> u16 {
        let request = self.0.request(Method::POST, process.url(path));
        let request = request.bearer_auth(token.signed()).json(body);
        request.send().await.expect("an answer").status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_flickers_while_the_database_is_away_and_what_changed_is_told_after_it() {
    let mut postgres = OwnPostgres::start().await;
    let url = postgres.url();
    let a = Process::start("127.0.0.1:0", &variables(&url)).await;
    let b = Process::start("127.0.0.1:0", &variables(&url)).await;
    let client = Client::new();
    let user = |name: &str| Token::user(name, &["t"]);
    let (bob, cat, dan) = (user("bob"), user("cat"), user("dan"));
    let mut seen_at_a = client.stream(&a, &user("ann-a")).await;
    let mut seen_at_b = client.stream(&b, &user("ann-b")).await;
    let beat = json!({"session": "s"});
    for token in [&bob, &dan] {
        let status = client.post((&a, "/presence/heartbeat"), token, &beat).await;
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
            let status = client.post((&a, "/presence/heartbeat"), &bob, &beat).await;
            assert_eq!(status, 200);
        }
    };
    let happening = async {
        postgres.go_away().await;
        let begun = tokio::time::Instant::now();
        // One comes and one goes meanwhile; both are told at once where it happened.
        let came = client.post((&a, "/presence/heartbeat"), &cat, &beat);
        assert_eq!(came.await, 200);
        let left = client.post((&a, "/presence/leave"), &dan, &beat).await;
        assert_eq!(left, 204);
        assert_eq!(
            next_change(&mut seen_at_a).await,
            change("cat", "online", 5)
        );
        while begun.elapsed() < OUTAGE {
            let beaten = client.post((&a, "/presence/heartbeat"), &cat, &beat);
            assert_eq!(beaten.await, 200);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        postgres.come_back().await;
        let mut told = Vec::new();
        while told.len() < 2 {
            let beaten = client.post((&a, "/presence/heartbeat"), &cat, &beat);
            assert_eq!(beaten.await, 200);
            let next =
                tokio::time::timeout(Duration::from_millis(500), next_change(&mut seen_at_b));
            told.extend(next.await.map(|(user, status, _)| (user, status)));
            assert!(begun.elapsed() < 3 * OUTAGE, "{told:?}");
        }
        told.sort_unstable();
        assert_eq!(told, named(&[("cat", "online"), ("dan", "offline")]));
        assert_eq!(next_change(&mut seen_at_a).await.0, "dan");
        // Until nobody is trusted unseen any more; Cat beats no longer, and goes.
        let settled = tokio::time::sleep(SETTLED);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                () = &mut settled => break,
                heard = next_change(&mut seen_at_a) => assert_eq!(heard.0, "cat"),
                heard = next_change(&mut seen_at_b) => assert_eq!(heard.0, "cat"),
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
async fn an_instance_that_stood_still_itself_tells_nobody_that_the_others_are_gone() {
    let database = Arc::new(TestDatabase::create().await);
    let goes_on = Service::on(Arc::clone(&database), QUICK).await;
    let url = database.url();
    let still = Process::start("127.0.0.1:0", &variables(&url)).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen = Client::new().stream(&still, &ann).await;
    let beat = || super::is_here(&goes_on, &bob, json!({"session": "s"}));
    beat().await;
    while next_change(&mut seen).await.0 != "bob" {}
    still.signal(Signal::SIGSTOP);
    for _ in 0..14 {
        beat().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    still.signal(Signal::SIGCONT);
    for _ in 0..6 {
        beat().await;
        let next = tokio::time::timeout(Duration::from_millis(500), next_change(&mut seen));
        if let Ok(heard) = next.await {
            panic!("{heard:?}");
        }
    }
}
