//! Who is here: over devices, instances, cuts and kills, with two instances on one database.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::TestDatabase;
use crate::support::instances::two;
use crate::support::process::Process;
use crate::support::{Answer, Service, Stream, Token, eventually, for_team, number};

mod bad;
mod crowds;
mod model;
mod outages;
mod places;

/// Times short enough to wait for.
const QUICK: &[&str] = &[
    "--presence-grace-seconds=1",
    "--presence-timeout-seconds=3",
    "--poll-ms=60000",
];

async fn heartbeat(service: &Service, token: &Token, body: Value) -> Answer {
    let request = service.client.post(service.url("/presence/heartbeat"));
    Answer::to(request.bearer_auth(token.signed()).json(&body)).await
}

async fn is_here(service: &Service, token: &Token, body: Value) {
    let answer = heartbeat(service, token, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn leave(service: &Service, token: &Token, session: &str) -> Answer {
    let request = service.client.post(service.url("/presence/leave"));
    let body = json!({"session": session});
    Answer::to(request.bearer_auth(token.signed()).json(&body)).await
}

/// The users that somebody sees, with their status.
async fn people(service: &Service, token: &Token) -> Vec<(String, String)> {
    statuses(&service.list("/presence", token).await)
}

fn statuses(people: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let users = people["users"].as_array().expect("users");
    let status = |user: &Value| (text(&user["userId"]), text(&user["status"]));
    users.iter().map(status).collect()
}

fn named(people: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(user, status): &(&str, &str)| ((*user).to_owned(), (*status).to_owned());
    people.iter().map(owned).collect()
}

/// Waits until both instances show these people.
async fn both_show(instances: &[Service; 2], token: &Token, people_: &[(&str, &str)]) {
    for instance in instances {
        eventually("both instances know who is here", || async {
            (people(instance, token).await == named(people_)).then_some(())
        })
        .await;
    }
}

/// The next change of somebody's presence: who, how, and how many are online.
async fn next_change(stream: &mut Stream) -> (String, String, u64) {
    loop {
        let message = stream.next_of_all().await;
        if let Some(status) = message.name.strip_prefix("user:presence:") {
            let data = message.json();
            let user = data["userId"].as_str().expect("a user").to_owned();
            let online = data["data"]["online"].as_u64().expect("a number");
            return (user, status.to_owned(), online);
        }
    }
}

fn change(user: &str, status: &str, online: u64) -> (String, String, u64) {
    (user.to_owned(), status.to_owned(), online)
}

#[tokio::test]
async fn a_stream_says_who_is_here_and_then_who_comes_and_goes_at_any_instance() {
    let instances = two(QUICK).await;
    let [a, b] = &instances;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen_by_ann = a.stream("/stream", &ann).await;
    assert_eq!(seen_by_ann.next_of_all().await.name, "stream:ready");
    let snapshot = seen_by_ann.next_of_all().await;
    assert_eq!(snapshot.name, "presence:snapshot");
    assert_eq!(statuses(&snapshot.json()), named(&[("ann", "online")]));
    assert_eq!(snapshot.json()["online"], 1);
    assert!(!snapshot.has_id);
    let seen_by_bob = b.stream("/stream/team", &bob).await;
    assert_eq!(
        next_change(&mut seen_by_ann).await,
        change("bob", "online", 2)
    );
    both_show(&instances, &ann, &[("ann", "online"), ("bob", "online")]).await;
    drop(seen_by_bob);
    assert_eq!(
        next_change(&mut seen_by_ann).await,
        change("bob", "offline", 1)
    );
    both_show(&instances, &ann, &[("ann", "online")]).await;
}

#[tokio::test]
async fn an_instance_that_starts_later_knows_who_is_here() {
    let database = Arc::new(TestDatabase::create().await);
    let first = Service::on(Arc::clone(&database), QUICK).await;
    let ann = Token::user("ann", &["t"]);
    let _stream = first.stream("/stream", &ann).await;
    is_here(
        &first,
        &Token::user("bob", &[]),
        json!({"session": "s", "status": "away"}),
    )
    .await;
    let late = Service::on(database, QUICK).await;
    eventually("the late one knows", || async {
        let people = people(&late, &ann).await;
        (people == named(&[("ann", "online"), ("bob", "away")])).then_some(())
    })
    .await;
    let mut stream = late.stream("/stream", &ann).await;
    let snapshot = stream.next_state("presence:snapshot").await;
    assert_eq!(
        (&snapshot["online"], &snapshot["complete"]),
        (&json!(1), &json!(true))
    );
}

#[tokio::test]
async fn a_reconnect_within_the_grace_is_noticed_by_nobody() {
    let flags = ["--presence-grace-seconds=2", "--presence-timeout-seconds=3"];
    let instances = two(&flags).await;
    let [a, b] = &instances;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen_by_ann = a.stream("/stream", &ann).await;
    let mut bobs = a.stream("/stream", &bob).await;
    bobs.next_state("presence:snapshot").await;
    assert_eq!(
        next_change(&mut seen_by_ann).await,
        change("bob", "online", 2)
    );
    // He comes back at one instance or the other, each time a little later.
    for n in 0..20 {
        drop(bobs);
        let at = if n % 2 == 0 { b } else { a };
        tokio::time::sleep(Duration::from_millis(10 * n)).await;
        bobs = at.stream("/stream", &bob).await;
        bobs.next_state("presence:snapshot").await;
    }
    let left_at = tokio::time::Instant::now();
    drop(bobs);
    assert_eq!(
        next_change(&mut seen_by_ann).await,
        change("bob", "offline", 1)
    );
    assert!(left_at.elapsed() >= Duration::from_millis(1_900));
}

#[tokio::test]
async fn a_user_is_here_while_any_device_is_and_away_when_all_are() {
    let instances = two(&["--presence-grace-seconds=1"]).await;
    let [a, b] = &instances;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen = a.stream("/stream/team", &ann).await;
    is_here(b, &bob, json!({"session": "phone", "status": "away"})).await;
    assert_eq!(next_change(&mut seen).await, change("bob", "away", 1));
    is_here(a, &bob, json!({"session": "desk", "status": "online"})).await;
    assert_eq!(next_change(&mut seen).await, change("bob", "online", 2));
    // A session that moves within moments could be newer at either place.
    eventually("the other instance has heard of it", || async {
        let seen = people(b, &ann).await;
        let online = ("bob".to_owned(), "online".to_owned());
        seen.contains(&online).then_some(())
    })
    .await;
    assert_eq!(leave(b, &bob, "phone").await.status, 204);
    is_here(b, &bob, json!({"session": "desk", "status": "away"})).await;
    assert_eq!(next_change(&mut seen).await, change("bob", "away", 1));
    // The session has moved to the other instance; it is over wherever it was.
    eventually("the goodbye is understood", || async {
        (leave(a, &bob, "desk").await.status == 204).then_some(())
    })
    .await;
    assert_eq!(next_change(&mut seen).await, change("bob", "offline", 1));
    let gone = leave(a, &bob, "desk").await;
    let field = gone.refused(404, "unknown_session", "a session that is over");
    assert_eq!(field.as_deref(), Some("session"));
}

#[tokio::test]
async fn a_session_that_leaves_ends_neither_streams_nor_other_sessions() {
    let service = Service::with(QUICK).await;
    let [ann, bob, cat, dan] = ["ann", "bob", "cat", "dan"].map(|name| Token::user(name, &["t"]));
    let mut seen = service.stream("/stream", &ann).await;
    let mut bobs = service.stream("/stream", &bob).await;
    bobs.next_state("presence:snapshot").await;
    is_here(&service, &bob, json!({"session": "desk"})).await;
    for session in ["desk", "phone"] {
        is_here(&service, &cat, json!({"session": session})).await;
    }
    is_here(&service, &dan, json!({"session": "desk"})).await;
    for (user, online) in [("bob", 2), ("cat", 3), ("dan", 4)] {
        assert_eq!(next_change(&mut seen).await, change(user, "online", online));
    }
    for who in [&bob, &cat, &dan] {
        assert_eq!(leave(&service, who, "desk").await.status, 204);
    }
    // The last one to leave is the only one who is gone.
    assert_eq!(next_change(&mut seen).await, change("dan", "offline", 3));
}

#[tokio::test]
async fn whoever_sends_no_heartbeats_is_gone_when_the_timeout_and_the_grace_are_over() {
    let instances = two(QUICK).await;
    let [a, b] = &instances;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut streams = [
        a.stream("/stream", &ann).await,
        b.stream("/stream", &ann).await,
    ];
    let beaten_at = tokio::time::Instant::now();
    is_here(a, &bob, json!({"session": "s"})).await;
    for stream in &mut streams {
        assert_eq!(next_change(stream).await, change("bob", "online", 2));
    }
    for stream in &mut streams {
        assert_eq!(next_change(stream).await, change("bob", "offline", 1));
        let after = beaten_at.elapsed();
        assert!(after >= Duration::from_millis(3_900), "{after:?}");
    }
}

#[tokio::test]
async fn whoever_does_nothing_for_long_is_away_until_something_is_done() {
    // Longer than a busy machine takes from one instance to the other.
    let flags = ["--presence-away-seconds=2", "--presence-grace-seconds=1"];
    let [a, b] = two(&flags).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen = a.stream("/stream", &ann).await;
    assert_eq!(next_change(&mut seen).await, change("ann", "away", 0));
    let _idle = b.stream("/stream", &bob).await;
    assert_eq!(next_change(&mut seen).await, change("bob", "online", 1));
    assert_eq!(next_change(&mut seen).await, change("bob", "away", 0));
    is_here(&b, &bob, json!({"session": "s"})).await;
    assert_eq!(next_change(&mut seen).await, change("bob", "online", 1));
}

#[tokio::test]
async fn a_killed_instance_leaves_no_ghosts_and_a_deploy_lets_nobody_flicker() {
    let database = Arc::new(TestDatabase::create().await);
    let stays = Service::on(Arc::clone(&database), QUICK).await;
    let url = database.url();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("PORCHLIGHT_PRESENCE_GRACE_SECONDS", "1"),
        ("PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS", "3"),
        ("PORCHLIGHT_DRAIN_SPREAD_SECONDS", "3"),
    ];
    let (ann, bob, cat) = (
        Token::user("ann", &["t"]),
        Token::user("bob", &["t"]),
        Token::user("cat", &["t"]),
    );
    let mut seen = stays.stream("/stream", &ann).await;
    let open = |process: &Process, token: &Token| {
        let request = stays.client.get(process.url("/stream"));
        Stream::open(request.bearer_auth(token.signed()))
    };
    let first = Process::start("127.0.0.1:0", &variables).await;
    let mut bobs = open(&first, &bob).await;
    bobs.next_state("presence:snapshot").await;
    assert_eq!(next_change(&mut seen).await, change("bob", "online", 2));
    // A deploy: the old instance stops, and its client goes to the new one.
    first.signal(nix::sys::signal::Signal::SIGTERM);
    bobs.rest().await;
    let second = Process::start("127.0.0.1:0", &variables).await;
    let mut bobs = open(&second, &bob).await;
    bobs.next_state("presence:snapshot").await;
    let _cats = stays.stream("/stream", &cat).await;
    assert_eq!(next_change(&mut seen).await, change("cat", "online", 3));
    let killed_at = tokio::time::Instant::now();
    second.kill();
    assert_eq!(next_change(&mut seen).await, change("bob", "offline", 2));
    // The lease of an instance, and the grace.
    assert!(killed_at.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn presence_is_never_logged_and_an_id_is_never_missed_for_it() {
    let service = Service::with(QUICK).await;
    let (ann, bob) = (Token::user("ann", &["t"]), Token::user("bob", &["t"]));
    let mut seen = service.stream("/stream", &ann).await;
    for n in 0..10 {
        let beats = json!({"session": "s", "status": if n % 2 == 0 { "online" } else { "away" }});
        is_here(&service, &bob, beats).await;
        service.publish(&for_team("t", n)).await;
    }
    for n in 0..10 {
        assert_eq!(number(&seen.next_logged().await), n);
    }
    let head: i64 = sqlx::query_scalar("select head from porchlight.brokers")
        .fetch_one(&mut service.database.connect().await)
        .await
        .expect("a head");
    assert_eq!(head, 10);
}

#[tokio::test]
async fn another_broker_sees_nothing_of_it_and_services_are_nobody() {
    let service = Service::with(QUICK).await;
    let other = Token::user("eve", &["t"]).of("other");
    let mut eves = service.stream("/stream", &other).await;
    eves.next_state("presence:snapshot").await;
    let _services = service.stream("/stream", &Token::service("b")).await;
    is_here(
        &service,
        &Token::user("bob", &["t"]),
        json!({"session": "s"}),
    )
    .await;
    assert_eq!(people(&service, &other).await, named(&[("eve", "online")]));
    let ours = people(&service, &Token::user("ann", &[])).await;
    assert_eq!(ours, named(&[("bob", "online")]));
    is_here(&service, &other, json!({"session": "s", "status": "away"})).await;
    assert_eq!(next_change(&mut eves).await, change("eve", "away", 0));
}
