//! The head of each request has a time limit, wherever on its connection it is.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::wait::soon;
use crate::support::{Service, Token, for_team, raw};

const FLAGS: [&str; 1] = ["--head-timeout-seconds=1"];
const WHOLE: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
const PART: &str = "GET /health/live HTTP/1.1\r\nHo";
/// Ten of them come within the limit.
const PAUSE: Duration = Duration::from_millis(100);

async fn connect(service: &Service) -> TcpStream {
    let connection = TcpStream::connect(service.addr);
    connection.await.expect("a connection")
}

/// Reads until the service has sent this text.
async fn read_until(connection: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let more = soon(text, connection.read_buf(&mut read)).await;
        assert_ne!(more.expect("bytes"), 0, "the end came before {text}");
    }
}

/// Sends one byte after the other, and returns what is answered until the service hangs up.
async fn trickle(mut connection: TcpStream) -> String {
    let mut pauses = tokio::time::interval(PAUSE);
    let mut answer = Vec::new();
    let all = async {
        loop {
            tokio::select! {
                read = connection.read_buf(&mut answer) => match read {
                    Ok(1..) => {}
                    _ => return,
                },
                // The service may have hung up.
                _ = pauses.tick() => drop(connection.write_all(b"x").await),
            }
        }
    };
    soon("the end of the connection", all).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers.
fn statuses(answers: &str) -> Vec<&str> {
    let heads = answers.split("HTTP/1.1 ").skip(1);
    heads.map(|head| &head[..3]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_head_that_does_not_arrive_is_given_up_although_bytes_come() {
    let service = Service::with(&FLAGS).await;
    // Nearly as long as a head may be.
    let long = format!("{PART}st: {}", "x".repeat(130_000));
    let beginnings = ["G", "\r\n", PART, &long];
    let trickled = beginnings.map(async |beginning| {
        let mut connection = connect(&service).await;
        let sent = connection.write_all(WHOLE.as_bytes()).await;
        sent.expect("a request");
        read_until(&mut connection, "\"live\"").await;
        let sent = connection.write_all(beginning.as_bytes()).await;
        sent.expect("a part of another");
        trickle(connection).await
    });
    for (answer, beginning) in join_all(trickled).await.iter().zip(beginnings) {
        let first: String = beginning.chars().take(40).collect();
        assert_eq!(statuses(answer), ["408"], "{first:?}: {answer}");
        assert!(answer.contains("\"head_timeout\""), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_came_in_part_behind_others_is_refused_after_their_answers() {
    let service = Service::with(&FLAGS).await;
    let token = Token::user("ann", &["a"]);
    // This answer comes after the limit.
    let waits = format!(
        "GET /events?wait=2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        token.signed()
    );
    let behind = [
        (format!("{WHOLE}{WHOLE}{PART}"), vec!["200", "200", "408"]),
        (format!("{waits}{PART}"), vec!["200", "408"]),
    ];
    let answers = behind
        .iter()
        .map(|(bytes, _)| raw::exchange_open(service.addr, bytes.as_bytes()));
    for (answer, (_, expected)) in join_all(answers).await.iter().zip(&behind) {
        assert_eq!(&statuses(answer), expected, "{answer}");
        assert!(answer.contains("\"head_timeout\""), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_still_being_written_comes_whole_before_the_refusal() {
    let service = Service::with(&FLAGS).await;
    let token = Token::user("ann", &["a"]);
    let padding = "x".repeat(40_000);
    for _ in 0..20 {
        let data = json!({"padding": padding});
        let event = json!({"type": "test:tick", "audience": {"team": "a"}, "data": data});
        service.publish(&event).await;
    }
    let list = format!(
        "GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        token.signed()
    );
    let bytes = format!("{}{PART}", list.repeat(10));
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small one");
    let mut reader = socket.connect(service.addr).await.expect("a connection");
    reader
        .write_all(bytes.as_bytes())
        .await
        .expect("the requests");
    // The limit of another head has passed, which began later.
    let other = raw::exchange_open(service.addr, format!("{WHOLE}{PART}").as_bytes()).await;
    assert_eq!(statuses(&other), ["200", "408"], "{other}");
    let answers = raw::answers(&mut reader, bytes.as_bytes()).await;
    let mut expected = vec!["200"; 10];
    expected.push("408");
    assert_eq!(statuses(&answers), expected);
    assert_eq!(answers.matches(&padding).count(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_idle_connections_have_no_limit_of_heads() {
    for parks in ["--park-streams=true", "--park-streams=false"] {
        let service = Service::with(&[FLAGS[0], parks]).await;
        let user = Token::user("u", &["a"]).signed();
        let open = format!(
            "GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user}\r\n\r\n{PART}"
        );
        let mut stream = connect(&service).await;
        stream.write_all(open.as_bytes()).await.expect("a stream");
        read_until(&mut stream, "stream:ready").await;
        let mut idle = connect(&service).await;
        idle.write_all(WHOLE.as_bytes()).await.expect("a request");
        read_until(&mut idle, "\"live\"").await;
        // The limit of a head that began later has passed.
        let other = raw::exchange_open(service.addr, format!("{WHOLE}{PART}").as_bytes()).await;
        assert_eq!(statuses(&other), ["200", "408"], "{other}");
        service.publish(&for_team("a", 7)).await;
        read_until(&mut stream, "{\"n\":7}").await;
        idle.write_all(WHOLE.as_bytes()).await.expect("another");
        read_until(&mut idle, "\"live\"").await;
    }
}
