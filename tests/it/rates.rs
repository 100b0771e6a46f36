//! Rate limits: each caller has a bucket of points, and one caller's requests do not slow others down.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::requests::{post, send};
use crate::support::{Answer, Service, Token};

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
    for n in 0..10 {
        let who = agent(&format!("user-{n}"));
        assert_eq!(get(&service, &who, "/presence").await.status, 200);
    }
    let refused = get(&service, &agent("late"), "/presence").await;
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
        let answer = send(
            &service,
            &ann,
            Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap(),
            &path,
            &json!({}),
        )
        .await;
        assert_eq!(
            answer.status, 429,
            "{} {path}: {}",
            endpoint.method, answer.text
        );
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
