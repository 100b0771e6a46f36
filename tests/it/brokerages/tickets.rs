//! Tickets of users whose brokerage was looked up: they open streams of this brokerage and of no other.

use serde_json::{Value, json};

use super::moving::{LONG, MOVE, has_ended, two};
use super::{QUERY, crm, get, opened, run, token};
use crate::support::requests::post;
use crate::support::tickets::{ticket, with_ticket};
use crate::support::{Answer, Service, Stream, Token, eventually};

/// The brokerage of a stream with this ticket.
async fn broker(service: &Service, ticket: &str) -> Value {
    let mut stream = Stream::open(with_ticket(service, "/stream", ticket)).await;
    assert_eq!(stream.status, 200);
    stream.next().await.json()["scopes"]["broker"].clone()
}

#[tokio::test]
async fn a_ticket_of_a_user_who_has_moved_opens_nothing() {
    let (database, mut sql) = crm().await;
    let instances = two(database).await;
    let (ann, bob) = (token(&json!(11), &json!(1)), token(&json!(12), &json!(2)));
    let [one, other] = &instances;
    let (old, bobs) = (ticket(one, &ann).await, ticket(one, &bob).await);
    let create = one.client.post(one.url("/tasks")).bearer_auth(&ann);
    let task = Answer::to(create.json(&json!({"type": "sum"}))).await;
    let output = format!("/tasks/{}/output", task.json()["id"].as_str().unwrap());
    let event = json!({"type": "test:b", "audience": {"broker": true}});
    assert_eq!(one.post("b", &event).await.status, 201);
    // One instance knows the ticket, the other one has not seen it.
    assert_eq!(broker(one, &old).await, "b");
    let mut streams = [
        Stream::open(with_ticket(one, "/stream", &old)).await,
        opened(other, "/stream", &ann).await.0,
    ];
    run(&mut sql, MOVE).await;
    for stream in &mut streams {
        assert_eq!(has_ended(stream).await, "expired");
    }
    for instance in &instances {
        for path in ["/stream?since=0", "/stream/user", &output] {
            let answer = Answer::to(with_ticket(instance, path, &old)).await;
            let field = answer.refused(401, "ticket_invalid", path);
            assert_eq!(field.as_deref(), Some("ticket"));
        }
        assert_eq!(broker(instance, &bobs).await, "c");
    }
    let new = ticket(one, &ann).await;
    assert_eq!(broker(other, &new).await, "c");
}

#[tokio::test]
async fn a_ticket_of_a_user_who_has_left_opens_nothing() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let old = ticket(&service, &token(&json!(11), &json!(1))).await;
    let mut stream = Stream::open(with_ticket(&service, "/stream", &old)).await;
    run(
        &mut sql,
        "update public.users set team_id = 3 where id = 11;
        select porchlight.forget_broker(user_id => '11')",
    )
    .await;
    assert_eq!(has_ended(&mut stream).await, "expired");
    let answer = Answer::to(with_ticket(&service, "/stream", &old)).await;
    answer.refused(401, "ticket_invalid", "who has left");
}

#[tokio::test]
async fn a_ticket_can_be_used_again_when_the_lookup_works_again() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, "--broker-cache-seconds=1"]).await;
    let ticket = ticket(&service, &token(&json!(11), &json!(1))).await;
    assert_eq!(broker(&service, &ticket).await, "b");
    run(&mut sql, "alter table public.teams rename to hidden").await;
    eventually("the answer is too old", async || {
        let mut stream = Stream::open(with_ticket(&service, "/stream", &ticket)).await;
        // Another status would end an EventSource for good.
        assert_eq!(stream.status, 200);
        let first = stream.next().await.json();
        (first["reason"] == "unavailable").then_some(())
    })
    .await;
    run(&mut sql, "alter table public.hidden rename to teams").await;
    assert_eq!(broker(&service, &ticket).await, "b");
}

/// The lookup depends on the first team that the token names, also where that was revoked.
#[tokio::test]
async fn a_ticket_is_looked_up_as_its_token_is() {
    let (database, _) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let old = token(&json!(99), &json!(1));
    assert_eq!(opened(&service, "/stream", &old).await.1, "b");
    let left = json!({"user": "99", "team": "1"});
    let boss = Token::service("b");
    let answer = post(&service, &boss, "/sessions/revoke", &left).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(opened(&service, "/stream", &old).await.1, "b");
    let ticket = ticket(&service, &old).await;
    assert_eq!(broker(&service, &ticket).await, "b");
    let answer = Answer::to(with_ticket(&service, "/stream/team", &ticket)).await;
    assert_eq!(answer.status, 404, "the team is lost: {}", answer.text);
    let session = Answer::to(get(&service, "/session", &old)).await.json();
    assert_eq!(session["teams"], json!([]));
}
