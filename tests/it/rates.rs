//! Rate limits: each caller has a bucket of points, and one caller's requests do not slow others down.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::requests::{post, send};
use crate::support::{Answer, Service, Token, raw};

/// 1 point a second: the bucket holds 10.
const USER: &[&str] = &["--user-rate=1"];

fn agent(user: &str) -> Token {
    Token::user(user, &[])
}

async fn get(service: &Service, who: &Token, path: &str) -> Answer {
    Answer::to(service.get(path, who)).await
}

async fn empty_the_bucket(service: &Service, who: &Token) -> Answer {
    loop {
        let answer = get(service, who, "/presence").await;
        if answer.status == 429 {
            return answer;
        }
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_user_with_an_empty_bucket_waits_and_others_do_not() {
    let service = Service::with(USER).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let first = get(&service, &ann, "/presence").await;
    assert_eq!(first.header("RateLimit-Policy"), "\"user\";q=10;w=10");
    assert_eq!(first.header("RateLimit"), "\"user\";r=9;t=1");
    let refused = empty_the_bucket(&service, &ann).await;
    assert_eq!(refused.json()["code"], "rate_limited");
    assert_eq!(refused.header("Retry-After"), "1");
    assert_eq!(refused.header("RateLimit"), "\"user\";r=0;t=10");
    assert_eq!(get(&service, &bob, "/presence").await.status, 200);
}

/// More refusals than are given at once, even to a client as slow as one that gets 100 a second.
const FLOOD: usize = 200;
/// The delay of further ones.
const DELAY: Duration = Duration::from_millis(500);

#[tokio::test]
async fn many_refusals_in_a_row_are_delayed_and_others_do_not_notice() {
    let service = Service::with(USER).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    empty_the_bucket(&service, &ann).await;
    let began = Instant::now();
    let flood = join_all((0..FLOOD).map(|_| get(&service, &ann, "/presence")));
    let (answers, bobs) = tokio::join!(flood, get(&service, &bob, "/presence"));
    assert!(began.elapsed() >= DELAY);
    let refused = answers.iter().filter(|answer| answer.status == 429);
    assert!(refused.count() > FLOOD / 2);
    assert_eq!(bobs.status, 200, "{}", bobs.text);
}

#[tokio::test]
async fn the_bucket_fills_again() {
    let service = Service::with(&["--user-rate=5"]).await;
    let ann = agent("ann");
    empty_the_bucket(&service, &ann).await;
    loop {
        let answer = get(&service, &ann, "/presence").await;
        if answer.status == 200 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn work_has_its_price() {
    let service = Service::with(USER).await;
    let rest = async |who: &str, method: Method, path: &str, body: Value| {
        let answer = send(&service, &agent(who), method, path, &body).await;
        answer.header("RateLimit").to_owned()
    };
    let lock = json!({"module": "escrows", "recordId": "e-1", "session": "s"});
    assert!(
        rest("a", Method::GET, "/locks", Value::Null)
            .await
            .contains("r=9")
    );
    assert!(
        rest("b", Method::POST, "/locks", lock)
            .await
            .contains("r=8")
    );
    let task = json!({"type": "none", "title": "A task"});
    assert!(
        rest("c", Method::POST, "/tasks", task)
            .await
            .contains("r=0")
    );
}

#[tokio::test]
async fn a_brokerage_has_a_bucket_for_all_of_its_users() {
    let service = Service::with(&["--brokerage-rate=1"]).await;
    let mut accepted = 0;
    let refused = loop {
        let who = agent(&format!("user-{accepted}"));
        let answer = get(&service, &who, "/presence").await;
        if answer.status != 200 {
            break answer;
        }
        accepted += 1;
    };
    assert!(accepted >= 10, "{accepted}");
    assert_eq!(refused.status, 429);
    assert!(refused.text.contains("brokerage"), "{}", refused.text);
    let elsewhere = agent("late").of("other");
    assert_eq!(get(&service, &elsewhere, "/presence").await.status, 200);
    // Streams do not count: all users of a brokerage come back at once after a restart.
    let mut stream = service.stream("/stream", &agent("late")).await;
    assert_eq!(stream.next().await.name, "stream:ready");
}

#[tokio::test]
async fn a_stream_that_is_opened_too_often_is_asked_to_wait() {
    let service = Service::with(USER).await;
    let ann = agent("ann");
    empty_the_bucket(&service, &ann).await;
    let mut stream = service.stream("/stream", &ann).await;
    let closing = stream.next().await;
    assert_eq!(closing.name, "stream:closing");
    assert_eq!(closing.json()["reason"], "rate_limited");
    assert!(stream.retry_ms.is_some());
}

#[tokio::test]
async fn requests_without_a_valid_token_are_limited_by_address() {
    let flags = ["--address-rate=1", "--trusted-proxies=1"];
    let service = Service::with(&flags).await;
    let from = async |address: &str| {
        let request = service.client.get(service.url("/presence"));
        let request = request.bearer_auth("nonsense");
        let request = request.header("X-Forwarded-For", format!("10.0.0.1, {address}"));
        Answer::to(request).await.status
    };
    for _ in 0..10 {
        assert_eq!(from("203.0.113.7").await, 401);
    }
    assert_eq!(from("203.0.113.7").await, 429);
    assert_eq!(from("203.0.113.8").await, 401);
    // Those with a token are not.
    assert_eq!(get(&service, &agent("ann"), "/presence").await.status, 200);
}

#[tokio::test]
async fn every_operation_tells_its_limit() {
    let service = Service::with(USER).await;
    let ann = agent("ann");
    empty_the_bucket(&service, &ann).await;
    for endpoint in porchlight::api::routes::all() {
        let path = endpoint
            .path
            .replace("{module}", "escrows")
            .replace("{id}", "e-1");
        let is_public = [
            "/",
            "/health",
            "/metrics",
            "/openapi",
            "/console",
            "/demo",
            "/inspector",
            "/operations",
        ]
        .iter()
        .any(|public| path == *public || *public != "/" && path.starts_with(public));
        let is_output = endpoint.method == "GET" && path.ends_with("/output");
        let is_stream = path.starts_with("/stream") || is_output;
        if is_public || is_stream {
            continue;
        }
        let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap();
        let call = async || send(&service, &ann, method.clone(), &path, &json!({})).await;
        let mut answer = call().await;
        if answer.status != 429 {
            // A second has passed on a slow machine.
            empty_the_bucket(&service, &ann).await;
            answer = call().await;
        }
        assert_eq!(answer.status, 429, "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_service_has_a_bucket_of_its_own() {
    let service = Service::with(&["--user-rate=1", "--service-rate=0"]).await;
    let backend = Token::service("b");
    let event = json!({"type": "system:news", "audience": {"broker": true}, "data": {}});
    for _ in 0..15 {
        let answer = post(&service, &backend, "/events", &event).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

/// The head of a heartbeat and a part of its body.
fn half(who: &Token) -> String {
    let token = who.signed();
    format!(
        "POST /presence/heartbeat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{{\"session\":"
    )
}

/// The first bytes of an answer.
async fn status(connection: &mut TcpStream) -> [u8; 12] {
    let mut status = [0; 12];
    connection.read_exact(&mut status).await.expect("an answer");
    status
}

#[tokio::test]
async fn a_person_has_a_few_bodies_on_their_way_and_others_do_not_notice() {
    let service = Service::start().await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let open = async |who: &Token| {
        let mut connection = TcpStream::connect(service.addr)
            .await
            .expect("a connection");
        connection
            .write_all(half(who).as_bytes())
            .await
            .expect("written");
        connection
    };
    let mut halves = Vec::new();
    for _ in 0..32 {
        halves.push(open(&ann).await);
    }
    // Which one is too many depends on what arrives first.
    halves.push(open(&ann).await);
    let mut refused = {
        let mut ends: Vec<_> = halves
            .iter()
            .map(|half| Box::pin(half.readable()))
            .collect();
        let (_, first, _) = select_all(&mut ends).await;
        drop(ends);
        halves.remove(first)
    };
    let answer = raw::answers(&mut refused, half(&ann).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\"rate_limited\""), "{answer}");
    // What comes as a whole is not counted, and neither are others.
    let whole = half(&ann) + "\"s\"}";
    let mut at_once = TcpStream::connect(service.addr)
        .await
        .expect("a connection");
    at_once.write_all(whole.as_bytes()).await.expect("written");
    assert_eq!(&status(&mut at_once).await, b"HTTP/1.1 200");
    let mut of_bob = open(&bob).await;
    halves.push(open(&bob).await);
    for connection in [&mut of_bob, &mut halves[0]] {
        connection.write_all(b"\"s\"}").await.expect("written");
        assert_eq!(&status(connection).await, b"HTTP/1.1 200");
    }
}
