//! Instances with Redis between them: events arrive without a poll and without a query, and whatever happens
//! to Redis, nothing is lost, repeated or out of order.

mod cluster;

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use porchlight::identity::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use crate::support::cluster::TestDatabase;
use crate::support::proxy::{Backend, Flow};
use crate::support::redis::RedisServer;
use crate::support::requests::post;
use crate::support::wait::soon;
use crate::support::{
    Answer, Message, Proxy, Publisher, Service, Stream, Token, eventually, for_team, number,
    numbers,
};

fn ann() -> Token {
    Token::user("ann", &["a"])
}

/// Two instances on one database that reach Redis at this address.
async fn two(backplane: &str, flags: &[&str]) -> [Service; 2] {
    let database = Arc::new(TestDatabase::create().await);
    database.log_statements().await;
    let backplane = format!("--backplane={backplane}");
    let flags: Vec<_> = [&backplane[..]]
        .into_iter()
        .chain(flags.iter().copied())
        .collect();
    let instances = [
        Service::on(Arc::clone(&database), &flags).await,
        Service::on(database, &flags).await,
    ];
    for instance in &instances {
        until_backplane(instance, "connected").await;
    }
    instances
}

async fn until_backplane(instance: &Service, state: &str) {
    let path = instance.url("/health/ready");
    eventually("health says so", async || {
        let answer = Answer::to(instance.client.get(&path)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (answer.json()["backplane"] == state).then_some(())
    })
    .await;
}

/// A stream whose brokerage has a subscribed channel.
async fn opened(service: &Service, redis: &RedisServer, path: &str) -> Stream {
    let mut stream = service.stream(path, &ann()).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    let name = origin(service).await;
    eventually("both have subscribed", async || {
        let subscribers = redis.ask_all(&format!("PUBSUB NUMSUB {name}:b")).await;
        subscribers.ends_with(":2\r\n").then_some(())
    })
    .await;
    stream
}

async fn origin(service: &Service) -> String {
    let sql =
        "select 'porchlight:' || system_identifier || '-' || database_oid from porchlight.origin";
    let mut connection = service.database.connect().await;
    let name = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
    name.expect("a name")
}

#[tokio::test]
async fn everything_crosses_without_a_poll_a_query_or_a_notification_of_postgres() {
    let redis = RedisServer::start().await;
    let [a, b] = &two(&redis.url(), &["--poll-ms=60000"]).await;
    let record = json!({"type": "escrow:created", "audience": {"team": "a"}, "module": "escrows",
        "recordId": "e-1", "data": {"fee": 0}});
    let _at_a = a.stream("/stream/team", &ann()).await;
    let mut stream = opened(b, &redis, "/stream").await;
    a.publish(&record).await;
    assert_eq!(stream.next_logged().await.name, "escrow:created");
    let before = b.metric("porchlight_follower_queries_total").await;
    for n in 0..20 {
        a.publish(&for_team("a", n)).await;
        assert_eq!(number(&stream.next_logged().await), n);
    }
    let queries = b.metric("porchlight_follower_queries_total").await - before;
    assert!(queries < 5.0, "{queries} queries");
    assert!(b.metric("porchlight_backplane_received_total").await >= 20.0);
    let bob = Token::user("bob", &["a"]);
    let lock = json!({"module": "escrows", "recordId": "e-1", "session": "tab"});
    assert_eq!(post_to(a, &bob, "/locks", &lock).await, 201);
    assert_eq!(stream.next_logged().await.name, "escrow:locked");
    let typing =
        json!({"name": "typing", "module": "escrows", "recordId": "e-1", "session": "tab"});
    assert_eq!(post_to(a, &bob, "/signals", &typing).await, 202);
    assert_eq!(stream.next_state("user:typing").await["userId"], "bob");
    let heartbeat = json!({"session": "tab", "status": "online",
        "viewing": {"module": "escrows", "recordId": "e-1"}});
    assert_eq!(
        post_to(a, &bob, "/presence/heartbeat", &heartbeat).await,
        200
    );
    while stream.next_state("user:presence:online").await["userId"] != "bob" {}
    let admin = Token::user("boss", &[]).in_role(Role::Admin);
    let revoked = json!({"user": "ann"});
    assert_eq!(post_to(a, &admin, "/sessions/revoke", &revoked).await, 200);
    let last = stream.rest().await.pop().expect("an event");
    assert_eq!(
        (&last.name[..], &last.json()["reason"]),
        ("stream:closing", &json!("revoked"))
    );
    let statements = b.database.statements();
    let is_notice = |statement: &String| {
        let statement = statement.to_lowercase();
        statement.contains("pg_notify") || statement.contains("listen ")
    };
    assert!(statements.len() > 20);
    assert_eq!(
        statements.iter().find(|statement| is_notice(statement)),
        None
    );
}

async fn post_to(service: &Service, token: &Token, path: &str, body: &Value) -> u16 {
    post(service, token, path, body).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_redis_nothing_is_lost_repeated_or_out_of_order() {
    let mut redis = RedisServer::start().await;
    let proxy = Proxy::to(Backend::Unix(redis.socket())).await;
    let url = proxy.url().replace("http://", "redis://");
    let [a, b] = &two(&url, &["--poll-ms=100"]).await;
    let mut streams = [
        a.stream("/stream/team?since=0", &ann()).await,
        opened(b, &redis, "/stream/team?since=0").await,
    ];
    let mut next = 0;
    let mut publish = async |streams: &mut [Stream; 2]| {
        let events = next..next + 30;
        next = events.end;
        publish_at_both(a, b, events.clone()).await;
        for stream in streams {
            let seen = stream.logged(30).await;
            assert_contiguous(&seen, events.start);
            let mut all = numbers(&seen);
            all.sort_unstable();
            assert!(all.into_iter().eq(events.clone()));
        }
    };
    publish(&mut streams).await;
    assert_eq!(redis.ask("FLUSHALL").await, "+OK");
    proxy.set_flow(Flow::Delayed(Duration::from_millis(200)));
    publish(&mut streams).await;
    proxy.set_flow(Flow::Free);
    redis.signal(Signal::SIGSTOP);
    publish(&mut streams).await;
    redis.signal(Signal::SIGCONT);
    publish(&mut streams).await;
    proxy.silence();
    publish(&mut streams).await;
    redis.kill();
    until_backplane(b, "disconnected").await;
    publish(&mut streams).await;
    redis.come_back().await;
    publish(&mut streams).await;
    until_backplane(b, "connected").await;
    publish(&mut streams).await;
    let [first, second] = &streams;
    assert_eq!(first.last_id, second.last_id);
}

async fn publish_at_both(a: &Service, b: &Service, numbers: std::ops::Range<u64>) {
    let publish = async |service: &Service, parity: u64| {
        let publisher = Publisher::new(&service.url(""));
        for n in numbers.clone().filter(|n| n % 2 == parity) {
            publisher
                .insist(&format!("key-{n}"), &for_team("a", n))
                .await;
        }
    };
    tokio::join!(publish(a, 0), publish(b, 1));
}

fn assert_contiguous(messages: &[Message], after: u64) {
    let positions = messages.iter().map(Message::position);
    let first = i64::try_from(after).expect("a position") + 1;
    assert!(positions.eq(first..first + 30));
}

#[tokio::test]
async fn with_hints_only_no_content_of_an_event_crosses_redis() {
    let redis = RedisServer::start().await;
    for (flags, crosses) in [
        (&["--poll-ms=60000"][..], true),
        (&["--poll-ms=60000", "--backplane-hints-only"][..], false),
    ] {
        let [a, b] = &two(&redis.url(), flags).await;
        let _at_a = a.stream("/stream/team", &ann()).await;
        let mut stream = opened(b, &redis, "/stream/team").await;
        let mut wire = redis.raw("PSUBSCRIBE *").await.expect("a connection");
        let mut first = String::new();
        wire.read_line(&mut first).await.expect("an answer");
        let body =
            json!({"type": "test:tick", "audience": {"team": "a"}, "data": {"text": "CANARY"}});
        a.publish(&body).await;
        assert_eq!(stream.next_logged().await.json()["data"]["text"], "CANARY");
        let mut seen = String::new();
        while !seen.contains("test:tick") && !seen.contains("\nh1\r") {
            let mut buffer = [0; 4_096];
            let count = soon("a message", wire.read(&mut buffer)).await;
            let count = count.expect("bytes");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert_eq!(seen.contains("CANARY"), crosses, "{seen}");
    }
}
