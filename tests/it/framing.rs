//! The framing of requests, over sockets: the cases in `tests/framing`.

#[path = "../framing/cases.rs"]
mod cases;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wait::soon;
use crate::support::{Service, Token, for_team, raw};
use cases::{Case, HIDDEN};

/// How some cases are sent, too.
const SLOWLY: &str = "byte by byte";
/// Its answer does not wait for the body, and closes the connection if the body has not come by then.
const ANSWERED_EARLY: &str = "GET with a body that looks like a request";

/// One answer: its status and its body.
struct RawAnswer<'a> {
    status: u16,
    head: &'a str,
    body: &'a str,
}

/// The answers on a connection.
fn answers(mut bytes: &str) -> Vec<RawAnswer<'_>> {
    let mut answers = Vec::new();
    while let Some((head, rest)) = bytes.split_once("\r\n\r\n") {
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let mut lengths = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = lengths
            .next()
            .map_or(0, |(_, length)| length.parse().expect("a length"));
        let (body, rest) = rest.split_at(length);
        answers.push(RawAnswer {
            status: status.unwrap_or_else(|| panic!("no answer: {head}")),
            head,
            body,
        });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "{bytes}");
    answers
}

/// Sends pieces of bytes, and reads until the service closes the connection.
async fn exchange(service: &Service, pieces: impl Iterator<Item = &[u8]>) -> String {
    let mut connection = TcpStream::connect(service.addr)
        .await
        .expect("a connection");
    connection.set_nodelay(true).expect("a socket");
    let mut sent = Vec::new();
    for piece in pieces {
        sent.extend_from_slice(piece);
        // The service may have closed the connection already.
        if connection.write_all(piece).await.is_err() {
            break;
        }
    }
    raw::answers(&mut connection, &sent).await
}

fn check(case: &Case, way: &str, text: &str) {
    let answers = answers(text);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let name = &case.name;
    let expected = case.statuses();
    let is_closed_early = case.name == ANSWERED_EARLY
        && way == SLOWLY
        && matches!(&*answers, [only] if only.head.contains("connection: close"));
    let due = if is_closed_early { 1 } else { expected.len() };
    assert_eq!(statuses, expected[..due], "{name}, {way}: {text}");
    if case.is_refused() {
        let last = answers.last().expect("an answer");
        let problem: serde_json::Value = serde_json::from_str(last.body).expect("JSON");
        assert_eq!(problem["status"], last.status, "{name}: {problem}");
        let code = match last.status {
            431 => "head_too_large",
            _ => "malformed_request",
        };
        assert_eq!(problem["code"], code, "{name}: {problem}");
        assert!(last.head.contains("x-request-id: "), "{name}: {text}");
        assert!(last.head.contains("connection: close"), "{name}: {text}");
    }
}

#[tokio::test]
async fn requests_are_framed_strictly_and_nothing_hidden_is_carried_out() {
    let service = Service::start().await;
    let token = Token::service("b");
    let cases = Case::all();
    assert!(cases.len() > 200, "{}", cases.len());
    for case in &cases {
        let bytes = case.bytes(&token.signed());
        let text = exchange(&service, std::iter::once(&*bytes)).await;
        check(case, "at once", &text);
        if case.bytewise {
            let text = exchange(&service, bytes.chunks(1)).await;
            check(case, SLOWLY, &text);
        }
    }
    let hidden = service
        .list(&format!("/events?types={HIDDEN}"), &token)
        .await;
    assert_eq!(hidden["events"], json!([]));
}

/// Reads a connection until it has sent this text.
async fn read_until(connection: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let more = soon(text, connection.read_buf(&mut read)).await;
        assert_ne!(
            more.expect("bytes"),
            0,
            "{}",
            String::from_utf8_lossy(&read)
        );
    }
}

#[tokio::test]
async fn what_follows_the_request_of_a_stream_neither_ends_it_nor_is_carried_out() {
    let service = Service::start().await;
    let (user, publisher) = (Token::user("u", &["a"]), Token::service("b"));
    let open = format!(
        "GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        user.signed()
    );
    let hidden = Case::hidden(&publisher.signed());
    for following in [&*hidden, "\0\0\r\n\r\n", "GET / HTTP/1.1\n\n"] {
        let mut stream = TcpStream::connect(service.addr)
            .await
            .expect("a connection");
        let bytes = format!("{open}{following}");
        stream.write_all(bytes.as_bytes()).await.expect("a write");
        read_until(&mut stream, "stream:ready").await;
        for n in 0..2 {
            service.publish(&for_team("a", n)).await;
            read_until(&mut stream, &format!("{{\"n\":{n}}}")).await;
            let later = format!("{following}{hidden}");
            stream.write_all(later.as_bytes()).await.expect("a write");
        }
    }
    let path = format!("/events?types={HIDDEN}");
    assert_eq!(service.list(&path, &publisher).await["events"], json!([]));
}
