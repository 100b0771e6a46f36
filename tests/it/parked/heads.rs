//! The heads of streams, and the versions of HTTP.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;

use super::client::{RawClient, open_streams, request};
use crate::support::ends::{last_words, user};
use crate::support::requests::stream_at;
use crate::support::{Service, Token, for_team, numbers};

#[tokio::test]
async fn a_stream_of_http_1_0_has_no_chunks_and_ends_with_its_connection() {
    let service = Service::with(&["--streams-per-user=1"]).await;
    for headers in ["", "Connection: keep-alive\r\n"] {
        let mut client = RawClient::connect(service.addr).await;
        client.send(request("1.0", &user(0), headers)).await;
        client.until("locks:snapshot").await;
        let _next = RawClient::open(&service, &user(0)).await;
        client.rest().await;
        let (head, body) = client.text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        for absent in ["transfer-encoding", "content-length", "keep-alive"] {
            assert!(!head.contains(absent), "{head}");
        }
        assert!(
            body.starts_with("retry: ") && body.ends_with("}\n\n"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_head_has_what_the_middleware_adds() {
    let service = Service::with(&["--cors-origins=https://crm.example.com"]).await;
    let mut client = RawClient::connect(service.addr).await;
    let headers =
        "Origin: https://crm.example.com\r\nX-Request-Id: r-7\r\nAccept-Encoding: gzip\r\n";
    client.send(request("1.1", &user(0), headers)).await;
    client.until("\r\n\r\n").await;
    let head = client.text.to_lowercase();
    for present in [
        "http/1.1 200 ok\r\n",
        "\r\ntransfer-encoding: chunked\r\n",
        "\r\nconnection: close\r\n",
        "\r\ncontent-type: text/event-stream\r\n",
        "\r\ncontent-encoding: gzip\r\n",
        "\r\nx-request-id: r-7\r\n",
        "\r\naccess-control-allow-origin: https://crm.example.com\r\n",
        "\r\ndate: ",
    ] {
        assert!(head.contains(present), "{present}: {head}");
    }
    assert_eq!(head.matches("transfer-encoding").count(), 1);
}

/// Answers before it are larger than the socket's buffers, so the head of the stream waits behind them.
#[tokio::test]
async fn a_head_that_the_socket_does_not_take_is_written_when_it_does() {
    let service = Service::start().await;
    let mut client = RawClient::connect_small(service.addr).await;
    let document = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(15);
    client.send(document + &request("1.1", &user(0), "")).await;
    client.until("text/event-stream\r\n").await;
    open_streams(&service, 1).await;
    for n in 0..3 {
        service.publish(&for_team("a", n)).await;
    }
    client.until("\"n\":2").await;
    assert_eq!(client.text.matches("HTTP/1.1 200 OK").count(), 16);
    assert_eq!(client.text.matches("text/event-stream\r\n").count(), 1);
}

#[tokio::test]
async fn a_client_that_reads_byte_by_byte_gets_everything() {
    let service = Service::start().await;
    let mut client = RawClient::connect_small(service.addr).await;
    client.send(request("1.1", &user(0), "")).await;
    client.until("locks:snapshot").await;
    let padding = "x".repeat(50_000);
    for n in 0..40 {
        let event = json!({"type": "test:tick", "audience": {"team": "a"},
            "data": {"n": n, "padding": padding}});
        service.publish(&event).await;
    }
    let mut rhythm = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..100 {
        rhythm.tick().await;
        let mut byte = [0];
        client.socket.read_exact(&mut byte).await.expect("a byte");
        client.text.push(char::from(byte[0]));
    }
    client.until("\"n\":39").await;
    let body = client.text.split_once("\r\n\r\n").expect("a head").1;
    let events: Vec<_> = dechunked(body);
    let events = events.concat();
    for n in 0..40 {
        let data = format!("\"data\":{{\"n\":{n},\"padding\":\"{padding}\"}}");
        assert_eq!(events.matches(&data).count(), usize::from(n < 39), "{n}");
    }
}

/// The chunks that are whole.
fn dechunked(mut body: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        let Some(chunk) = rest.get(..size) else { break };
        chunks.push(chunk);
        let Some(next) = rest.get(size + 2..) else {
            break;
        };
        assert_eq!(&rest[size..size + 2], "\r\n");
        body = next;
    }
    chunks
}

#[tokio::test]
async fn streams_that_stay_with_the_http_server_are_the_same() {
    let service = Service::with(&["--park-streams=false", "--streams-per-user=3"]).await;
    let token = Token::user("ann", &["a"]);
    service.publish(&for_team("a", 0)).await;
    let mut plain = service.stream("/stream/team?since=0", &token).await;
    let mut zipped = stream_at(&service.url("/stream/team?since=0"), &token, true).await;
    let path = "/stream/team?since=0&named=false";
    let mut unnamed = service.stream(path, &token).await;
    for n in 1..50 {
        service.publish(&for_team("a", n)).await;
    }
    for stream in [&mut plain, &mut zipped, &mut unnamed] {
        assert_eq!(
            numbers(&stream.logged(50).await),
            (0..50).collect::<Vec<_>>()
        );
    }
    let mut last = service.stream("/stream/team", &token).await;
    assert_eq!(last.next().await.name, "stream:ready");
    assert_eq!(last_words(&mut plain).await["reason"], "evicted");
}
