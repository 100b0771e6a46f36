//! Requests that have arrived when the service is told to stop, and that it has not read.

use futures_util::future::join_all;
use nix::sys::signal::Signal;

use crate::parked::client::RawClient;
use crate::support::cluster::TestDatabase;
use crate::support::{Process, Token, for_team, ledger};

/// Connections that have had an answer, and as many that are new.
const CONNECTIONS: usize = 150;
const GET: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
const LIVE: &str = "{\"status\":\"live\"}";

/// Publishes event `n`.
fn post(n: usize) -> String {
    let body = for_team("a", u64::try_from(n).expect("a number")).to_string();
    let (token, length) = (Token::service("b").signed(), body.len());
    format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A connection that has had an answer.
async fn kept(process: &Process) -> RawClient {
    let mut client = RawClient::connect(process.addr).await;
    client.send(GET).await;
    client.until(LIVE).await;
    client.text.clear();
    client
}

#[tokio::test]
async fn requests_that_arrived_before_a_stop_are_answered_and_idle_connections_end() {
    stop_while_requests_arrive("2").await;
}

#[tokio::test]
async fn a_service_of_one_thread_answers_what_has_arrived_too() {
    stop_while_requests_arrive("1").await;
}

async fn stop_while_requests_arrive(workers: &str) {
    let database = TestDatabase::create().await;
    let mut process = super::serving(&database, workers).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(kept(&process).await);
    }
    let (mut idle, mut silent) = (kept(&process).await, RawClient::connect(process.addr).await);
    let posts: Vec<_> = (0..2 * CONNECTIONS).map(post).collect();
    // It reads nothing and accepts nothing until the signal has come.
    process.signal(Signal::SIGSTOP);
    for _ in 0..CONNECTIONS {
        clients.push(RawClient::connect(process.addr).await);
    }
    for (client, post) in clients.iter_mut().zip(posts) {
        client.send(post).await;
    }
    process.signal(Signal::SIGTERM);
    process.signal(Signal::SIGCONT);
    join_all(clients.iter_mut().map(RawClient::rest)).await;
    let is_answered = |client: &&RawClient| client.text.starts_with("HTTP/1.1 201 ");
    let (old, new) = clients.split_at(CONNECTIONS);
    let answered = [old, new].map(|clients| clients.iter().filter(is_answered).count());
    assert_eq!(answered, [CONNECTIONS; 2], "of open and of new connections");
    for client in [&mut idle, &mut silent] {
        client.rest().await;
        assert_eq!(client.text, "");
    }
    assert_eq!(process.exit_code().await, Some(0));
    let log = ledger::log(&mut database.connect().await).await;
    assert_eq!(log.len(), 2 * CONNECTIONS);
}
