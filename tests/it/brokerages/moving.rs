//! Users who change their brokerage: what they see follows, on every instance.

use std::sync::Arc;

use serde_json::json;

use super::{QUERY, crm, get, lookups, opened, run, token, until_listening};
use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Service, Stream, eventually};

/// In the time of a test, nothing is looked up again without a notice.
pub(super) const LONG: &str = "--broker-cache-seconds=3600";
/// User 11 moves from brokerage `b` to `c`, with a notice.
pub(super) const MOVE: &str = "begin; update public.users set team_id = 2 where id = 11;
    select porchlight.forget_broker(user_id => '11'); commit";

const SHORT: &str = "--broker-cache-seconds=1";

/// Two instances that look nothing up again without a notice.
pub(super) async fn two(database: Arc<TestDatabase>) -> [Service; 2] {
    [
        Service::on(database.clone(), &[QUERY, LONG]).await,
        Service::on(database, &[QUERY, LONG]).await,
    ]
}

pub(super) async fn has_ended(stream: &mut Stream) -> String {
    let rest = stream.rest().await;
    let last = rest.last().expect("some last words").json();
    assert_eq!(last["type"], "stream:closing");
    last["reason"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn a_user_who_moves_sees_the_new_brokerage_at_once_after_a_notice() {
    let (database, mut sql) = crm().await;
    let instances = two(database).await;
    let (ann, bob) = (token(&json!(11), &json!(1)), token(&json!(12), &json!(2)));
    let mut streams = Vec::new();
    for instance in &instances {
        until_listening(instance).await;
        let (stream, broker) = opened(instance, "/stream", &ann).await;
        assert_eq!(broker, "b");
        streams.push(stream);
    }
    let (mut other, _) = opened(&instances[0], "/stream", &bob).await;
    let asked = futures_util::future::join_all(instances.iter().map(|at| lookups(at, "found")));
    let asked = asked.await;
    run(&mut sql, MOVE).await;
    for stream in &mut streams {
        // As at the end of a token.
        assert_eq!(has_ended(stream).await, "expired");
    }
    for instance in &instances {
        let mut again =
            Stream::open(get(instance, "/stream", &ann).header("Last-Event-ID", "7-abcdef")).await;
        let ready = again.next().await.json();
        assert_eq!(ready["scopes"]["broker"], "c");
        assert_eq!(again.next().await.name, "stream:reset", "it is another log");
    }
    // Others' streams go on, and nobody asked for them again.
    let event = json!({"type": "test:c", "audience": {"broker": true}});
    assert_eq!(instances[1].post("c", &event).await.status, 201);
    assert_eq!(other.next_logged().await.name, "test:c");
    for (instance, before) in instances.iter().zip(asked) {
        assert_eq!(lookups(instance, "found").await, before + 1.0);
    }
}

#[tokio::test]
async fn a_user_who_moves_sees_the_new_brokerage_soon_without_a_notice() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, SHORT]).await;
    let ann = token(&json!(11), &json!(1));
    let (mut stream, _) = opened(&service, "/stream", &ann).await;
    run(
        &mut sql,
        "update public.users set team_id = 2 where id = 11",
    )
    .await;
    assert_eq!(has_ended(&mut stream).await, "expired");
    assert_eq!(opened(&service, "/stream", &ann).await.1, "c");
    // A user who leaves has no brokerage any more.
    let (mut stream, _) = opened(&service, "/stream", &ann).await;
    run(
        &mut sql,
        "update public.users set team_id = 3 where id = 11",
    )
    .await;
    assert_eq!(has_ended(&mut stream).await, "expired");
    let answer = Answer::to(get(&service, "/stream", &ann)).await;
    answer.refused(401, "broker_unknown", "who has left");
}

#[tokio::test]
async fn a_stream_of_output_ends_too() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let ann = token(&json!(11), &json!(1));
    let asked = service.client.post(service.url("/tasks")).bearer_auth(&ann);
    let task = Answer::to(asked.json(&json!({"type": "sum"}))).await.json();
    let path = format!("/tasks/{}/output", task["id"].as_str().unwrap());
    let mut output = Stream::open(get(&service, &path, &ann)).await;
    run(
        &mut sql,
        "update public.users set team_id = 2 where id = 11;
        select porchlight.forget_broker()",
    )
    .await;
    assert_eq!(has_ended(&mut output).await, "expired");
}

#[tokio::test]
async fn nothing_is_forgotten_where_a_transaction_is_undone() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    until_listening(&service).await;
    let (ann, bob) = (token(&json!(11), &json!(1)), token(&json!(12), &json!(2)));
    let ask = async |token: &str| {
        let answer = Answer::to(get(&service, "/events", token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    ask(&ann).await;
    ask(&bob).await;
    let asked = lookups(&service, "found").await;
    run(
        &mut sql,
        "begin; select porchlight.forget_broker(user_id => '11'); rollback;
        select porchlight.forget_broker(user_id => '12', team_id => '2')",
    )
    .await;
    eventually("the other one is forgotten", async || {
        ask(&bob).await;
        (lookups(&service, "found").await == asked + 1.0).then_some(())
    })
    .await;
    ask(&ann).await;
    assert_eq!(lookups(&service, "found").await, asked + 1.0);
    // Ids that are longer than any, and roles that may do nothing else, do no harm.
    run(
        &mut sql,
        "select porchlight.forget_broker(user_id => repeat('x', 100000))",
    )
    .await;
}

#[tokio::test]
async fn a_notice_while_nobody_listened_is_not_missed() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, LONG]).await;
    let ann = token(&json!(11), &json!(1));
    let (mut stream, broker) = opened(&service, "/stream", &ann).await;
    assert_eq!(broker, "b");
    // The connection is cut and the notice sent in one transaction: no instance receives it.
    run(
        &mut sql,
        "begin; update public.users set team_id = 2 where id = 11;
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query ilike 'listen %'; commit",
    )
    .await;
    assert_eq!(has_ended(&mut stream).await, "expired");
    assert_eq!(opened(&service, "/stream", &ann).await.1, "c");
}

#[tokio::test]
async fn streams_outlive_a_query_that_fails_for_a_while() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY, SHORT]).await;
    let ann = token(&json!(11), &json!(1));
    let (mut stream, _) = opened(&service, "/stream", &ann).await;
    run(&mut sql, "alter table public.teams rename to hidden").await;
    eventually("lookups fail", async || {
        (lookups(&service, "failed").await >= 2.0).then_some(())
    })
    .await;
    let event = json!({"type": "test:b", "audience": {"broker": true}});
    assert_eq!(service.post("b", &event).await.status, 201);
    assert_eq!(stream.next_logged().await.name, "test:b");
    run(&mut sql, "alter table public.hidden rename to teams").await;
    let before = lookups(&service, "found").await;
    eventually("it is confirmed", async || {
        (lookups(&service, "found").await > before).then_some(())
    })
    .await;
    assert_eq!(service.post("b", &event).await.status, 201);
    assert_eq!(stream.next_logged().await.name, "test:b");
}
