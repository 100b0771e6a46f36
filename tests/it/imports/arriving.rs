//! Files that arrive slowly, or many at a time: no upload blocks others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{ann, count, send_file};
use crate::support::wait::soon;
use crate::support::{Service, Token, eventually, raw};

/// Four files of the largest size at once: two of one brokerage, one of one user.
const FEW: &[&str] = &["--upload-bytes=65536", "--uploads-at-once=4"];
const LARGEST: usize = 65_536;
const FILE: &str = "Name\nAnn\n";

fn user_of(name: &str, broker: &str) -> Token {
    Token::user(name, &[]).of(broker)
}

/// An upload whose bytes come when the test sends them.
struct Sending {
    socket: TcpStream,
    head: String,
}

impl Sending {
    /// Sends a head that promises so many bytes; the service has read it.
    async fn begin(service: &Service, who: &Token, bytes: usize) -> Self {
        let token = who.signed();
        Self::open(
            service,
            &format!("Authorization: Bearer {token}\r\nContent-Length: {bytes}"),
        )
        .await
    }

    async fn open(service: &Service, headers: &str) -> Self {
        let socket = TcpStream::connect(service.addr).await;
        let mut socket = socket.expect("a connection");
        let head = format!(
            "POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n\
             Expect: 100-continue\r\nConnection: close\r\n{headers}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("a head");
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n\r\n") {
            line.push(
                soon("100 Continue", socket.read_u8())
                    .await
                    .expect("a byte"),
            );
        }
        assert!(line.starts_with(b"HTTP/1.1 100"), "{line:?}");
        Self { socket, head }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("bytes");
    }

    /// The status and the body of the answer.
    async fn answer(mut self) -> (u16, String) {
        let answer = raw::answers(&mut self.socket, self.head.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.unwrap_or_default(), body.to_owned())
    }
}

/// Waits until so many uploads of the largest size fit into memory.
async fn until_arriving(service: &Service, uploads: usize) {
    let bytes = u32::try_from(uploads * LARGEST).expect("a size");
    eventually("so many arrive", async || {
        let taken = service.metric("porchlight_upload_memory_bytes").await;
        (taken == f64::from(bytes)).then_some(())
    })
    .await;
}

/// A connection that keeps the uploads of these users from being stored.
async fn hold(service: &Service, users: &[Token]) -> PgConnection {
    let mut sql = service.database.connect().await;
    for user in users {
        // The service's own key.
        let lock = "select pg_advisory_lock(hashtextextended($2, hashtextextended($1, 0)))";
        let lock = sqlx::query(lock).bind(&user.broker).bind(&user.user);
        lock.execute(&mut sql).await.expect("a lock");
    }
    sql
}

/// Waits until so many uploads stand in the database and wait for [`hold`].
async fn until_storing(service: &Service, uploads: i64) {
    let waiting = "select count(*) from pg_locks
        where locktype = 'advisory' and not granted and database =
            (select oid from pg_database where datname = current_database())";
    eventually("so many wait in the database", async || {
        let mut sql = service.database.connect().await;
        (count(&mut sql, waiting).await == uploads).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_that_send_no_body_keep_nobody_from_uploading() {
    let service = Service::start().await;
    let mut idle = Vec::new();
    for connections in [8, 50] {
        while idle.len() < connections {
            idle.push(Sending::begin(&service, &ann(), 1_000).await);
        }
        for other in [user_of("bob", "b"), user_of("ann", "c"), ann()] {
            let sent = send_file(&service, &other, FILE).await;
            assert_eq!(sent.status, 201, "beside {connections}: {}", sent.text);
        }
    }
}

#[tokio::test]
async fn a_connection_that_sends_no_body_is_ended() {
    let service = Service::with(&["--upload-window-seconds=1"]).await;
    let idle = Sending::begin(&service, &ann(), 1_000).await;
    let (status, body) = idle.answer().await;
    assert!(
        status == 408 && body.contains("\"body_too_slow\""),
        "{body}"
    );
}

#[tokio::test]
async fn a_body_that_trickles_is_ended_and_one_that_is_slow_but_steady_is_kept() {
    let flags = [
        "--upload-window-seconds=1",
        "--upload-min-bytes-per-second=1000",
    ];
    let service = Service::with(&flags).await;
    let mut trickling = Sending::begin(&service, &ann(), 100_000).await;
    let mut steady = Sending::begin(&service, &user_of("bob", "b"), 100_000).await;
    let trickle = async {
        let mut sent = 0_usize;
        // The service hangs up when it has had enough.
        while sent < 1_000 && trickling.socket.write_all(b"x").await.is_ok() {
            sent += 1;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
                _ = trickling.socket.readable() => break,
            }
        }
        trickling.answer().await
    };
    let go_on = async {
        // Four seconds: several windows, each with more than it must have.
        for _ in 0..80 {
            steady.send(&[b'x'; 1_250]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        steady.answer().await
    };
    let ((ended, why), (kept, what)) = tokio::join!(trickle, go_on);
    assert!(ended == 408 && why.contains("\"body_too_slow\""), "{why}");
    assert!(why.contains("1000 bytes"), "it says how fast: {why}");
    assert_eq!(kept, 201, "{what}");
    until_arriving(&service, 0).await;
}

#[tokio::test]
async fn a_user_and_a_brokerage_have_a_share_and_others_have_theirs() {
    let service = Service::with(FEW).await;
    let refused = async |who: &Token, status: u16, code: &str| {
        let sent = send_file(&service, who, FILE).await;
        sent.refused(status, code, "no room");
        assert!(!sent.header("retry-after").is_empty(), "{sent:?}");
        sent.text
    };
    let mut arriving = Vec::new();
    let mut begin = async |who: &Token, all: usize| {
        let mut sending = Sending::begin(&service, who, LARGEST).await;
        sending.send(b"Name\n").await;
        until_arriving(&service, all).await;
        arriving.push(sending);
    };
    let code = "too_many_uploads_at_once";
    begin(&ann(), 1).await;
    let why = refused(&ann(), 429, code).await;
    assert!(why.contains("one user"), "{why}");
    begin(&user_of("bob", "b"), 2).await;
    let why = refused(&user_of("cyd", "b"), 429, code).await;
    assert!(why.contains("brokerage"), "{why}");
    assert_eq!(
        send_file(&service, &user_of("ann", "c"), FILE).await.status,
        201
    );
    begin(&user_of("ann", "c"), 3).await;
    begin(&user_of("ann", "d"), 4).await;
    refused(&user_of("ann", "e"), 503, "busy").await;
    // A whole upload is stored, and frees its memory.
    let mut first = arriving.remove(0);
    first.send(&vec![b'x'; LARGEST - 5]).await;
    assert_eq!(first.answer().await.0, 201);
    until_arriving(&service, 3).await;
    assert_eq!(
        send_file(&service, &user_of("ann", "e"), FILE).await.status,
        201
    );
}

#[tokio::test]
async fn a_body_of_unknown_length_counts_as_the_largest() {
    let service = Service::with(FEW).await;
    let token = ann().signed();
    let headers = format!("Authorization: Bearer {token}\r\nTransfer-Encoding: chunked");
    let mut sending = Sending::open(&service, &headers).await;
    sending.send(b"5\r\nName\n\r\n").await;
    until_arriving(&service, 1).await;
    let sent = send_file(&service, &ann(), FILE).await;
    sent.refused(429, "too_many_uploads_at_once", "a second one");
    sending.send(b"4\r\nAnn\n\r\n0\r\n\r\n").await;
    let (status, body) = sending.answer().await;
    assert!(status == 201 && body.contains("\"bytes\":9"), "{body}");
}

#[tokio::test]
async fn what_is_announced_as_too_large_is_refused_before_it_comes() {
    let service = Service::with(FEW).await;
    let sending = Sending::begin(&service, &ann(), LARGEST + 1).await;
    let (status, body) = sending.answer().await;
    assert!(status == 413 && body.contains("body_too_large"), "{body}");
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let service = Service::with(FEW).await;
    for _ in 0..5 {
        let mut sending = Sending::begin(&service, &ann(), LARGEST).await;
        sending.send(b"Name\n").await;
        until_arriving(&service, 1).await;
        drop(sending);
        until_arriving(&service, 0).await;
    }
}

#[tokio::test]
async fn a_client_that_vanishes_while_its_file_is_stored_or_waits_for_that_leaves_nothing_behind() {
    let service = Arc::new(Service::start().await);
    let holding = hold(&service, &[ann()]).await;
    for _ in 0..3 {
        let mut storing = JoinSet::new();
        for _ in 0..2 {
            let service = Arc::clone(&service);
            // The database lets nobody wait for long.
            storing.spawn(
                async move { while send_file(&service, &ann(), FILE).await.status == 503 {} },
            );
        }
        until_storing(&service, 1).await;
        until_arriving(&service, 2).await;
        storing.shutdown().await;
        until_arriving(&service, 0).await;
    }
    holding.close().await.expect("a goodbye");
    assert_eq!(send_file(&service, &ann(), FILE).await.status, 201);
    let mut sql = service.database.connect().await;
    let kept = count(&mut sql, "select count(*) from porchlight.uploads").await;
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn uploads_of_one_brokerage_that_are_stored_leave_room_to_store_others() {
    let service = Service::start().await;
    let busy: Vec<_> = (0..8).map(|n| user_of(&format!("u-{n}"), "b")).collect();
    let holding = hold(&service, &busy).await;
    let storing = join_all(busy.iter().map(|who| send_file(&service, who, FILE)));
    let other = async {
        until_storing(&service, 2).await;
        let sent = send_file(&service, &user_of("ann", "c"), FILE).await;
        until_storing(&service, 2).await;
        holding.close().await.expect("a goodbye");
        sent
    };
    let (stored, other) = tokio::join!(storing, other);
    assert_eq!(other.status, 201, "{}", other.text);
    // The database lets nobody wait for long.
    assert!(
        stored.iter().all(|sent| [201, 503].contains(&sent.status)),
        "{stored:?}"
    );
}
