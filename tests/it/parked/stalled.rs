//! The end of a stream whose client reads too little: it does not wait for the client.

use serde_json::json;

use super::client::{RawClient, open_streams, request};
use crate::support::ends::user;
use crate::support::people::admin;
use crate::support::{Answer, Service, Token, eventually};

/// More than the test may take: without an acknowledgement for so long, the kernel ends a connection.
pub const NEVER: &str = "--write-timeout-seconds=3600";
/// Events of 60 KB that are more than the sockets of both ends take.
const EVENTS: usize = 120;

/// A stream whose socket takes nothing more.
async fn blocked(service: &Service, token: &Token) -> RawClient {
    let mut client = RawClient::connect_small(service.addr).await;
    client.send(request("1.1", token, "")).await;
    let event =
        json!({"type": "test:large", "audience": {"team": "a"}, "data": "x".repeat(60_000)});
    let boss = admin(&[]);
    eventually("the stream is blocked", async || {
        service.publish(&json!({"events": vec![&event; 4]})).await;
        let answer = Answer::to(service.get("/admin/connections", &boss)).await;
        let answer = answer.json();
        let mut streams = answer["connections"].as_array()?.iter();
        let is_blocked =
            streams.any(|stream| stream["userId"] == *token.user && stream["isBlocked"] == true);
        is_blocked.then_some(())
    })
    .await;
    client
}

pub async fn revoke(service: &Service, token: &Token) {
    let revoking = service.client.post(service.url("/sessions/revoke"));
    let revoking = revoking.bearer_auth(admin(&[]).signed());
    let answer = Answer::to(revoking.json(&json!({"user": token.user}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_revoked_stream_ends_although_its_client_does_not_read() {
    let service = Service::with(&[NEVER]).await;
    let _client = blocked(&service, &user(0)).await;
    revoke(&service, &user(0)).await;
    open_streams(&service, 0).await;
}

#[tokio::test]
async fn a_revoked_stream_that_is_not_parked_ends_although_its_client_does_not_read() {
    let service = Service::with(&[NEVER, "--park-streams=false"]).await;
    let mut stalled = RawClient::connect_small(service.addr).await;
    stalled.send(request("1.1", &user(0), "")).await;
    let mut reading = RawClient::open(&service, &user(1)).await;
    open_streams(&service, 2).await;
    for n in 0..EVENTS {
        let event = json!({"type": "test:large", "audience": {"team": "a"},
            "data": {"n": n, "padding": "x".repeat(60_000)}});
        service.publish(&event).await;
        // By then the other stream has been given it, too.
        reading.until(&format!("\"n\":{n},")).await;
        reading.text.clear();
    }
    revoke(&service, &user(0)).await;
    open_streams(&service, 1).await;
    let closed = "porchlight_streams_closed_total{reason=\"revoked\"}";
    assert_eq!(service.metric(closed).await, 1.0);
    drop((stalled, reading));
}
