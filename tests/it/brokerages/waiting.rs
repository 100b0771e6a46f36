//! Requests that wait while their user changes the brokerage.

use serde_json::{Value, json};

use super::moving::{LONG, MOVE, has_ended};
use super::{QUERY, crm, get, opened, run, token};
use crate::support::forge::honest;
use crate::support::requests::posted;
use crate::support::{Answer, Service, Token, eventually};

/// Opens a long poll, and waits until it waits.
async fn poll(service: &Service, token: &str) -> tokio::task::JoinHandle<Answer> {
    let poll = tokio::spawn(Answer::to(get(service, "/events?wait=60", token)));
    eventually("the poll waits", async || {
        let session = Answer::to(get(service, "/session", token)).await.json();
        (session["quotas"]["polls"]["user"]["used"] == 1).then_some(())
    })
    .await;
    poll
}

/// The event is published when the notice has arrived.
#[tokio::test]
async fn a_long_poll_brings_nothing_of_the_brokerage_that_its_user_has_left() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let ann = token(&json!(11), &json!(1));
    let (mut stream, _) = opened(&service, "/stream", &ann).await;
    let poll = poll(&service, &ann).await;
    run(&mut sql, MOVE).await;
    assert_eq!(has_ended(&mut stream).await, "expired");
    let event = json!({"type": "test:at", "audience": {"broker": true}});
    for broker in ["b", "c"] {
        assert_eq!(service.post(broker, &event).await.status, 201);
    }
    // As a request that begins now: it is another log.
    let answer = poll.await.expect("an answer");
    answer.refused(410, "cursor_unknown", "a poll");
    let position = answer.json()["position"].clone();
    let next = format!("/events?after={}", position.as_str().expect("a position"));
    let answer = Answer::to(get(&service, &next, &ann)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_long_poll_of_a_user_who_has_left_is_refused_at_once() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let poll = poll(&service, &token(&json!(11), &json!(1))).await;
    run(
        &mut sql,
        "update public.users set team_id = 3 where id = 11;
        select porchlight.forget_broker(user_id => '11')",
    )
    .await;
    let answer = poll.await.expect("an answer");
    answer.refused(401, "broker_unknown", "who has left");
}

/// A task of each brokerage, by its id.
async fn create(service: &Service, broker: &str) -> Value {
    let who = Token::user("zoe", &["a"]).of(broker);
    posted(service, &who, "/tasks", &json!({"type": "sum"})).await["id"].clone()
}

#[tokio::test]
async fn a_claim_that_waits_takes_no_task_of_the_brokerage_that_its_worker_has_left() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let worker = honest(
        &json!({"sub": null, "broker_id": null, "teams": null, "id": 11,
        "teamId": 1, "role": "worker"}),
    );
    let claim = |seconds: u64| {
        let request = service.client.post(service.url("/tasks/claim"));
        let body = json!({"types": ["sum"], "waitSeconds": seconds});
        Answer::to(request.bearer_auth(&worker).json(&body))
    };
    let (mut stream, _) = opened(&service, "/stream/worker", &worker).await;
    let waiting = tokio::spawn(claim(60));
    eventually("the claim waits", async || {
        (service.metric("porchlight_claims_waiting").await > 0.5).then_some(())
    })
    .await;
    run(&mut sql, MOVE).await;
    assert_eq!(has_ended(&mut stream).await, "expired");
    create(&service, "b").await;
    let expected = create(&service, "c").await;
    let answer = waiting.await.expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text);
    // The worker asks again, as after any wait.
    let answer = claim(0).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["task"]["id"], expected);
}
