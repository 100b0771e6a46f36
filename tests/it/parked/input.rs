//! What clients send after their request, and how they leave.

use tokio::io::AsyncWriteExt;

use super::client::{RawClient, open_streams, request};
use crate::support::ends::user;
use crate::support::{Service, for_team};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn bytes_after_the_request_are_dropped_up_to_a_limit() {
    let service = Service::start().await;
    let mut client = RawClient::open(&service, &user(0)).await;
    for n in 1..4 {
        client.send([b'x'; 1_000]).await;
        service.publish(&for_team("a", n)).await;
        client.until(&format!("\"n\":{n}")).await;
    }
    open_streams(&service, 1).await;
    // The service closes the connection, so that not all of this can be written.
    let _ = client.socket.write_all(&vec![b'x'; 1 << 20]).await;
    client.rest().await;
    open_streams(&service, 0).await;
}

#[tokio::test]
async fn a_request_behind_that_of_a_stream_is_not_answered() {
    let service = Service::with(&["--streams-per-user=1"]).await;
    let mut first = RawClient::connect(service.addr).await;
    first.send(request("1.1", &user(0), "") + LIVE).await;
    first.until("locks:snapshot").await;
    // HTTP's word for it.
    assert!(
        first.text.contains("connection: close\r\n"),
        "{}",
        first.text
    );
    first.send(LIVE).await;
    service.publish(&for_team("a", 1)).await;
    first.until("\"n\":1").await;
    let mut second = RawClient::open(&service, &user(0)).await;
    first.rest().await;
    assert!(first.text.contains("\"evicted\""), "{}", first.text);
    assert!(first.text.ends_with("\r\n0\r\n\r\n"), "{}", first.text);
    assert_eq!(first.text.matches("HTTP/1.1 ").count(), 1);
    service.publish(&for_team("a", 2)).await;
    second.until("\"n\":2").await;
}

#[tokio::test]
async fn a_stream_ends_when_its_client_closes_half_of_the_connection() {
    let service = Service::start().await;
    let mut client = RawClient::open(&service, &user(0)).await;
    client.socket.shutdown().await.expect("half of it");
    client.rest().await;
    open_streams(&service, 0).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_client_resets_the_connection() {
    let service = Service::start().await;
    let client = RawClient::open(&service, &user(0)).await;
    let socket = client.socket.into_std().expect("a socket");
    let lingering = socket2::SockRef::from(&socket);
    let at_once = Some(std::time::Duration::ZERO);
    lingering.set_linger(at_once).expect("an option");
    drop(socket);
    open_streams(&service, 0).await;
}

#[tokio::test]
async fn a_client_may_send_its_request_byte_by_byte_and_use_a_connection_again() {
    let service = Service::start().await;
    let mut client = RawClient::connect(service.addr).await;
    client.send(LIVE).await;
    client.until("\r\n\r\n").await;
    client.socket.set_nodelay(true).expect("an option");
    for byte in request("1.1", &user(0), "").bytes() {
        client.send([byte]).await;
    }
    client.until("locks:snapshot").await;
    service.publish(&for_team("a", 1)).await;
    client.until("\"n\":1").await;
}
