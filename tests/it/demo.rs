//! Bodies that strangers send to `/demo`, the only path that takes some.

use futures_util::future::select_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wait::soon;
use crate::support::{Answer, Service, raw};

const FIRST_HALF: &str = "{\"user\":";
const LAST_HALF: &str = "\"bob\"}";

/// The head of a request that comes through a proxy, and the first half of its body.
fn half(network: &str) -> String {
    let length = FIRST_HALF.len() + LAST_HALF.len();
    format!(
        "POST /demo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {network}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{FIRST_HALF}"
    )
}

async fn send_half(service: &Service, network: &str) -> TcpStream {
    let connection = TcpStream::connect(service.addr);
    let mut connection = connection.await.expect("a connection");
    let sent = connection.write_all(half(network).as_bytes()).await;
    sent.expect("a half");
    connection
}

/// The status of the answer to a whole body.
async fn finish(connection: &mut TcpStream) -> String {
    let sent = connection.write_all(LAST_HALF.as_bytes()).await;
    sent.expect("the other half");
    let mut status = [0; 12];
    let read = soon("an answer", connection.read_exact(&mut status)).await;
    read.expect("a status");
    String::from_utf8_lossy(&status).into_owned()
}

#[tokio::test]
async fn without_a_demo_nothing_is_read() {
    let service = Service::start().await;
    let answer = raw::exchange_open(service.addr, half("203.0.113.7").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("\"not_found\""), "{answer}");
}

#[tokio::test]
async fn a_body_is_small() {
    let service = Service::with(&["--demo"]).await;
    let sign_in = async |bytes: usize| {
        let body = json!({"user": "bob"}).to_string();
        let body = format!("{body:bytes$}");
        let request = service.client.post(service.url("/demo"));
        let request = request.header("content-type", "application/json");
        Answer::to(request.body(body)).await
    };
    assert_eq!(sign_in(1_024).await.status, 201);
    let large = sign_in(1_025).await;
    large.refused(413, "body_too_large", "one byte more");
}

#[tokio::test]
async fn a_network_has_a_few_bodies_on_their_way_and_others_do_not_notice() {
    let service = Service::with(&["--demo", "--trusted-proxies=1"]).await;
    let mut halves = Vec::new();
    // Their network is one.
    for n in 0..33 {
        halves.push(send_half(&service, &format!("2001:db8::{n}")).await);
    }
    // Which one is too many depends on what arrives first.
    let mut refused = {
        let mut ends: Vec<_> = halves
            .iter()
            .map(|half| Box::pin(half.readable()))
            .collect();
        let (_, first, _) = soon("a refusal", select_all(&mut ends)).await;
        drop(ends);
        halves.remove(first)
    };
    let answer = raw::answers(&mut refused, half("2001:db8::1").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\"rate_limited\""), "{answer}");
    let mut of_another = send_half(&service, "2001:db8:0:1::1").await;
    assert_eq!(finish(&mut of_another).await, "HTTP/1.1 201");
    // There is room again when one has arrived.
    assert_eq!(finish(&mut halves[0]).await, "HTTP/1.1 201");
    let mut another = send_half(&service, "2001:db8::1").await;
    assert_eq!(finish(&mut another).await, "HTTP/1.1 201");
}
