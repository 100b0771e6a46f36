//! Clients that arrive at once: what they see of each other may come later, and in the same order as always.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;

use super::client::{RawClient, open_streams, request};
use crate::support::ends::user;
use crate::support::{Service, for_team};

const CLIENTS: usize = 100;
/// So many of them leave at once.
const LEAVING: usize = 5;
/// More that arrive within 50 ms are a rush.
const MOST_CALM: usize = 20;

/// Opens streams at the same time, as fast as the service answers.
async fn rush(service: &Service, from: usize, count: usize) -> Vec<RawClient> {
    let connected = (0..count).map(|_| RawClient::connect(service.addr));
    let mut clients = join_all(connected).await;
    for (i, client) in clients.iter_mut().enumerate() {
        client.send(request("1.1", &user(from + i), "")).await;
    }
    clients
}

/// Everybody is named in the snapshot of a client, or came later.
async fn sees_everybody(client: &mut RawClient) {
    for i in 0..CLIENTS {
        let name = user(i).user;
        client.until(&format!(r#""userId":"{name}""#)).await;
    }
}

#[tokio::test]
async fn clients_that_arrive_together_see_each_other_and_miss_no_event() {
    let service = Service::with(&["--workers=1"]).await;
    let mut clients = rush(&service, 0, CLIENTS).await;
    drop(rush(&service, CLIENTS, LEAVING).await);
    for client in &mut clients {
        client.until("stream:ready").await;
    }
    service.publish(&for_team("a", 7)).await;
    for client in &mut clients {
        client.until("test:tick").await;
        let text = client.text.clone();
        let parts = [
            "stream:ready",
            "presence:snapshot",
            "locks:snapshot",
            "test:tick",
        ];
        let places = parts.map(|part| text.find(&format!("event: {part}\n")));
        assert!(
            places.is_sorted() && places.iter().all(Option::is_some),
            "{text}"
        );
        assert_eq!(text.matches("event: test:tick\n").count(), 1, "{text}");
        sees_everybody(client).await;
    }
    open_streams(&service, u32::try_from(CLIENTS).expect("a number")).await;
}

/// Whether the snapshot of presence came later than the chunk that came with the head.
fn has_waited(client: &RawClient) -> bool {
    let (first, later) = client.text.split_once("\n\n\r\n").expect("chunks");
    let has_snapshot = |text: &str| text.contains("event: presence:snapshot\n");
    assert!(first.contains("event: stream:ready\n"), "{first}");
    assert!(
        has_snapshot(first) != has_snapshot(later),
        "{}",
        client.text
    );
    has_snapshot(later)
}

#[tokio::test]
async fn after_many_arrivals_in_a_short_time_the_state_comes_after_the_head() {
    let service = Service::with(&["--workers=1"]).await;
    let mut clients = Vec::new();
    // However long this takes here, they arrive at the same time, and the last one 100 ms later.
    let arrivals = [
        (1_000, MOST_CALM, false),
        (1_000, 3, true),
        (1_100, 1, false),
    ];
    for (ms, count, waits) in arrivals {
        service.arrivals_ms.store(ms, Ordering::Relaxed);
        for _ in 0..count {
            let number = clients.len();
            let client = RawClient::open(&service, &user(number)).await;
            assert_eq!(has_waited(&client), waits, "client {number}");
            clients.push(client);
        }
    }
}
