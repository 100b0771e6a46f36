//! Presence and signals at a record that goes to another team.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::instances::two;
use crate::support::people::ann;
use crate::support::requests::post;
use crate::support::{Answer, Service, Stream, Token, eventually};

/// Only hints and own commits are quicker than that.
const NO_POLLS: &[&str] = &["--poll-ms=60000"];
/// Answers are remembered for 15 seconds: what comes sooner came by an event.
const REMEMBERED: Duration = Duration::from_secs(10);

fn zoe() -> Token {
    Token::user("zoe", &["z"])
}

/// On both teams.
fn bob() -> Token {
    Token::user("bob", &["a", "z"])
}

async fn goes_to(service: &Service, team: &str) {
    let event = json!({"type": "escrow:updated", "audience": {"team": team}, "module": "escrows",
        "recordId": "e-1"});
    service.publish(&event).await;
}

async fn signal(service: &Service, who: &Token) -> u16 {
    let body = json!({"name": "typing", "module": "escrows", "recordId": "e-1"});
    post(service, who, "/signals", &body).await.status
}

async fn views(service: &Service, who: &Token) -> u16 {
    let record = json!({"module": "escrows", "recordId": "e-1"});
    let body = json!({"session": "s", "viewing": record});
    let answer = post(service, who, "/presence/heartbeat", &body);
    answer.await.status
}

/// The status of `GET /presence?record=`, and how many view it.
async fn seen_at(service: &Service, who: &Token) -> (u16, usize) {
    let request = service.get("/presence?record=escrows/e-1", who);
    let answer = Answer::to(request).await;
    let people = || answer.json()["users"].as_array().map_or(0, Vec::len);
    let count = if answer.status == 200 { people() } else { 0 };
    (answer.status, count)
}

/// Whether somebody sees, among all people, that Bob views the record.
async fn sees_bob_there(service: &Service, who: &Token) -> bool {
    let people = service.list("/presence", who).await;
    let users = people["users"].as_array().expect("users");
    let bob = users.iter().find(|user| user["userId"] == "bob");
    bob.is_some_and(|bob| bob["viewing"] != json!([]))
}

/// The next state of this name about Bob, with what it says of him.
async fn next_of_bob(stream: &mut Stream, name: &str) -> Value {
    loop {
        let state = stream.next_state(name).await;
        if state["userId"] == "bob" {
            return state["data"].clone();
        }
    }
}

#[tokio::test]
async fn after_an_own_commit_the_very_next_request_is_judged_by_the_new_rights() {
    let service = Service::with(NO_POLLS).await;
    for _ in 0..3 {
        for (team, sees, does_not) in [("a", ann(), zoe()), ("z", zoe(), ann())] {
            goes_to(&service, team).await;
            assert_eq!(signal(&service, &sees).await, 202, "{team}");
            assert_eq!(signal(&service, &does_not).await, 404, "{team}");
            assert_eq!(views(&service, &sees).await, 200, "{team}");
            assert_eq!(views(&service, &does_not).await, 404, "{team}");
            assert_eq!(seen_at(&service, &sees).await, (200, 1), "{team}");
            assert_eq!(seen_at(&service, &does_not).await.0, 404, "{team}");
        }
    }
}

#[tokio::test]
async fn what_is_open_and_typed_is_shown_to_the_new_team_and_over_for_the_old_one() {
    let [a, b] = &two(NO_POLLS).await;
    goes_to(a, "a").await;
    let mut anns = a.stream("/stream", &ann()).await;
    let mut zoes = a.stream("/stream", &zoe()).await;
    // Nobody has a stream at that instance: it learns of changes by hints only.
    assert_eq!(views(b, &bob()).await, 200);
    assert_eq!(
        next_of_bob(&mut anns, "user:viewing:escrow").await["viewing"],
        true
    );
    assert_eq!(signal(b, &bob()).await, 202);
    next_of_bob(&mut anns, "user:typing").await;
    let moved_at = Instant::now();
    goes_to(a, "z").await;
    assert_eq!(
        next_of_bob(&mut anns, "user:viewing:escrow").await["viewing"],
        false
    );
    next_of_bob(&mut anns, "user:stopped_typing").await;
    assert_eq!(
        next_of_bob(&mut zoes, "user:viewing:escrow").await["viewing"],
        true
    );
    for instance in [a, b] {
        eventually("both instances know", async || {
            let old = seen_at(instance, &ann()).await.0 == 404
                && !sees_bob_there(instance, &ann()).await
                && signal(instance, &ann()).await == 404;
            let new = seen_at(instance, &zoe()).await == (200, 1)
                && sees_bob_there(instance, &zoe()).await;
            (old && new).then_some(())
        })
        .await;
    }
    // What he goes on with is of the new team.
    assert_eq!(signal(b, &bob()).await, 202);
    next_of_bob(&mut zoes, "user:typing").await;
    assert!(moved_at.elapsed() < REMEMBERED, "{:?}", moved_at.elapsed());
    let marker = json!({"type": "test:marker", "audience": {"broker": true}});
    a.publish(&marker).await;
    anns.next_logged().await;
    let after_the_end = anns.text.split("user:stopped_typing").nth(1);
    let after_the_end = after_the_end.expect("it ended");
    assert!(!after_the_end.contains("user:typing"), "{after_the_end}");
}

#[tokio::test]
async fn who_is_not_on_the_new_team_does_not_show_the_record_any_more() {
    let [a, b] = &two(NO_POLLS).await;
    goes_to(a, "a").await;
    let mut zoes = a.stream("/stream", &zoe()).await;
    zoes.next_state("presence:snapshot").await;
    let gone = Token::user("bob", &["a"]);
    assert_eq!(views(b, &gone).await, 200);
    let moved_at = Instant::now();
    goes_to(b, "z").await;
    for instance in [a, b] {
        eventually("nobody is there", async || {
            let own = sees_bob_there(instance, &gone).await;
            let seen = seen_at(instance, &zoe()).await;
            (!own && seen == (200, 0)).then_some(())
        })
        .await;
    }
    assert_eq!(views(b, &gone).await, 404);
    assert!(moved_at.elapsed() < REMEMBERED, "{:?}", moved_at.elapsed());
    assert!(!zoes.text.contains("user:viewing"), "{}", zoes.text);
}
