//! Bytes on a connection that no honest client sends.

use serde_json::Value;

use super::{with, works_and_holds_nothing};
use crate::support::{Service, Token, raw};

/// The last answer on a connection: its head, and its body.
fn last_answer(answers: &str) -> (&str, &str) {
    let at = answers.rfind("HTTP/1.1 4").expect("an answer");
    let answer = &answers[at..];
    answer.split_once("\r\n\r\n").expect("a whole head")
}

/// The value of a header.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let value = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
    value.map_or("", |(_, value)| value)
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_code_and_an_id() {
    let service = Service::start().await;
    let token = Token::service("b").signed();
    let post = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    let good = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let malformed = [
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n: x\r\n\r\n".to_owned(),
        format!("{post}Content-Length: x\r\n\r\n"),
        format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!("{good}{good}nonsense\r\n\r\n"),
    ];
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    let large = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(200_000));
    let too_large = [
        (&many, 431, "head_too_large"),
        (&large, 431, "head_too_large"),
    ];
    let all = malformed
        .iter()
        .map(|bytes| (bytes, 400, "malformed_request"));
    for (bytes, status, code) in all.chain(too_large) {
        let first: String = bytes.chars().take(60).collect();
        let answers = raw::exchange_open(service.addr, bytes.as_bytes()).await;
        let (head, body) = last_answer(&answers);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answers}"
        );
        for (name, value) in [
            ("content-type", "application/problem+json"),
            ("content-length", &*body.len().to_string()),
            ("connection", "close"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(head, name), value, "{first}: {head}");
        }
        assert_eq!(header(head, "x-request-id").len(), 32, "{first}: {head}");
        let problem: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["code"], code, "{first}: {problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].is_string(), "{problem}");
        let earlier = answers.matches("HTTP/1.1 200 OK").count();
        assert_eq!(earlier, bytes.matches("/health/live").count(), "{answers}");
    }
    let refused = r#"porchlight_refusals_total{class="4xx",code="malformed_request"}"#;
    assert_eq!(service.metric(refused).await, 6.0);
    let bad_chunk = format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    let answers = raw::exchange_open(service.addr, bad_chunk.as_bytes()).await;
    let (head, body) = last_answer(&answers);
    assert_eq!(header(head, "x-request-id").len(), 32, "{head}");
    let problem: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["code"], "malformed_request", "{problem}");
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn bytes_that_are_no_request_do_not_end_the_service() {
    let service = Service::start().await;
    let token = Token::service("b").signed();
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    let body = with("version", "1");
    let cut = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len() + 1);
    let twice = format!(
        "{head}Content-Length: 1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let both = format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let bad_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n");
    let cut_chunk = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}",
        body.len()
    );
    let huge_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{body}");
    let negative = format!("{head}Content-Length: -1\r\n\r\n{body}");
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let long_header = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "b".repeat(1 << 20));
    let query = |bytes: &[u8]| {
        [
            b"GET /events?types=",
            bytes,
            b" HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
        .concat()
    };
    let bytes: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\r\n\r\n\r\n".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"GET".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET  HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n: x\r\n\r\n".to_vec(),
        b"GET http:// HTTP/1.1\r\n\r\n".to_vec(),
        b"CONNECT x:1 HTTP/1.1\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET * HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x08\x06\0\0\0\0\0".to_vec(),
        query(b"\xff\xfe"),
        query(b"\0"),
        query(b"\x80"),
        query("\u{e4}".as_bytes()),
        query(b"%"),
        query(b"%zz"),
        cut.into(),
        twice.into(),
        both.into(),
        bad_chunk.into(),
        cut_chunk.into(),
        huge_chunk.into(),
        negative.into(),
        many_headers.into(),
        long_header.into(),
        long_path.into(),
    ];
    for bytes in &bytes {
        let answer = raw::exchange(service.addr, bytes).await;
        let first = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{first}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 5"), "{first}: {answer}");
    }
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_taken_for_a_request() {
    let service = Service::start().await;
    let token = Token::service("b").signed();
    let event = with("version", "1");
    let hidden = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
        event.len()
    );
    let last = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for head in [
        "GET /health/live",
        "POST /nowhere",
        "DELETE /events",
        "POST /events",
        "GET /events",
    ] {
        let length = hidden.len();
        let sized =
            format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{hidden}");
        let chunked = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
        );
        for request in [sized, chunked] {
            let answer = raw::exchange(service.addr, format!("{request}{last}").as_bytes()).await;
            let answers = answer.matches("HTTP/1.1 ").count();
            assert!((1..=2).contains(&answers), "{head}: {answer}");
        }
    }
    works_and_holds_nothing(&service).await;
}
