//! Requests that make no sense: each is refused in words, and nothing comes of it.

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Service, Token, raw};

/// The service works, and holds nothing but what this publishes.
async fn works_and_holds_nothing(service: &Service) {
    let token = Token::user("u", &["a"]);
    assert_eq!(service.list("/events", &token).await["events"], json!([]));
    let event = json!({"type": "t", "audience": {"team": "a"}});
    let position = service.publish(&event).await.pop().expect("a position");
    assert!(
        position.starts_with("1-"),
        "something was stored: {position}"
    );
    let mut stream = service.stream("/stream?since=0", &token).await;
    assert_eq!(stream.next_logged().await.id, position);
}

fn publish(service: &Service) -> RequestBuilder {
    let token = Token::service("b").signed();
    service
        .client
        .post(service.url("/events"))
        .bearer_auth(token)
}

fn json_body(service: &Service, body: impl Into<reqwest::Body>) -> RequestBuilder {
    publish(service)
        .header("content-type", "application/json")
        .body(body)
}

/// A good event with one more field.
fn with(field: &str, value: &str) -> String {
    format!(r#"{{"type":"t","audience":{{"broker":true}},"{field}":{value}}}"#)
}

fn of_type(value: &str) -> String {
    format!(r#"{{"audience":{{"broker":true}},"type":{value}}}"#)
}

fn told_to(audience: &str) -> String {
    format!(r#"{{"type":"t","audience":{audience}}}"#)
}

fn many(event: &str) -> String {
    format!(r#"{{"events":[{},{event}]}}"#, with("version", "1"))
}

#[tokio::test]
async fn a_body_that_is_no_event_is_refused_and_names_the_field() {
    let service = Service::start().await;
    let long = format!("{:?}", "x".repeat(65));
    let huge = format!("{:?}", "x".repeat(65_536));
    let batch = |n| json!({"events": vec![json!({"type": "t", "audience": {"broker": true}}); n]});
    let nested = |n| with("data", &format!("{}{}", "[".repeat(n), "]".repeat(n)));
    let (invalid, reserved) = ("invalid_body", "reserved_type");
    let refusals: Vec<(&str, &str, String)> = vec![
        (invalid, "", String::new()),
        (invalid, "", " ".into()),
        (invalid, "", "{".into()),
        (invalid, "", "null".into()),
        (invalid, "", "[]".into()),
        (invalid, "", "7".into()),
        (invalid, "", r#""text""#.into()),
        (invalid, "", "nonsense".into()),
        (invalid, "", format!("{} x", with("version", "1"))),
        (invalid, "", format!("{0}{0}", with("version", "1"))),
        (invalid, "", with("version", "1")[..20].into()),
        (invalid, "", "\u{feff}{}".into()),
        // Not an object, though it has the parts of one.
        (
            invalid,
            "",
            r#"[[{"type":"t","audience":{"broker":true}}]]"#.into(),
        ),
        (
            invalid,
            "",
            r#"["t",{"broker":true},null,null,null,null,null,null]"#.into(),
        ),
        (
            invalid,
            "events[1]",
            many(r#"["t",{"broker":true},null,null,null,null,null,null]"#),
        ),
        (invalid, "type", "{}".into()),
        (invalid, "type", r#"{"audience":{"broker":true}}"#.into()),
        (invalid, "audience", r#"{"type":"t"}"#.into()),
        (invalid, "events[1].audience", many(r#"{"type":"t"}"#)),
        (invalid, "type", of_type("7")),
        (invalid, "type", of_type("null")),
        (invalid, "type", of_type(r#""""#)),
        (invalid, "type", of_type(r#""a b""#)),
        (invalid, "type", of_type(r#""a\u0000b""#)),
        (invalid, "type", of_type(r#""\ud800""#)),
        (invalid, "type", of_type(&long)),
        (
            invalid,
            "type",
            r#"{"type":"t","type":"t","audience":{"broker":true}}"#.into(),
        ),
        (reserved, "type", of_type(r#""hb""#)),
        (reserved, "type", of_type(r#""error""#)),
        (reserved, "type", of_type(r#""stream:ready""#)),
        (reserved, "events[1].type", many(&of_type(r#""open""#))),
        (invalid, "audience", told_to("null")),
        (invalid, "audience", told_to("{}")),
        (invalid, "audience.broker", told_to(r#""broker""#)),
        (invalid, "audience", told_to(r#"{"user":"u","team":"a"}"#)),
        (invalid, "audience", told_to(r#"["user","u"]"#)),
        (invalid, "audience", told_to(r#"{"everyone":true}"#)),
        (invalid, "audience.broker", told_to(r#"{"broker":false}"#)),
        (invalid, "audience.broker", told_to(r#"{"broker":"b"}"#)),
        (invalid, "audience.user", told_to(r#"{"user":""}"#)),
        (invalid, "audience.team", told_to(r#"{"team":["a"]}"#)),
        (invalid, "colour", with("colour", "1")),
        (invalid, "record_id", with("record_id", r#""x""#)),
        (invalid, "events", with("events", "null")),
        (invalid, "events[1].colour", many(&with("colour", "1"))),
        (invalid, "colour", r#"{"events":[],"colour":1}"#.into()),
        (invalid, "module", with("module", "7")),
        (invalid, "module", with("module", r#""a/b""#)),
        (invalid, "recordId", with("recordId", &long)),
        ("module_missing", "module", with("recordId", r#""e-1""#)),
        (
            "module_missing",
            "events[1].module",
            many(&with("recordId", r#""e-1""#)),
        ),
        (invalid, "userId", with("userId", "{}")),
        (invalid, "version", with("version", r#""1""#)),
        (invalid, "version", with("version", "1.5")),
        (invalid, "version", with("version", "-1")),
        (invalid, "version", with("version", "9223372036854775808")),
        (invalid, "events[1].version", many(&with("version", "-1"))),
        (invalid, "data", nested(101)),
        (invalid, "data", nested(10_000)),
        (
            invalid,
            "changes",
            nested(30_000).replace("data", "changes"),
        ),
        (invalid, "events[1].data", many(&nested(5_000))),
        (invalid, "", "[".repeat(200_000)),
        (invalid, "a", r#"{"a":"#.repeat(50_000)),
        (invalid, "data", with("data", "\"\n\"")),
        (invalid, "data", with("data", "01")),
        (invalid, "data", with("data", "NaN")),
        ("invalid_batch", "events", batch(0).to_string()),
        ("invalid_batch", "events", batch(1_001).to_string()),
        (invalid, "events", r#"{"events":{}}"#.into()),
        (invalid, "events", r#"{"events":7}"#.into()),
        (invalid, "events[0]", r#"{"events":[7]}"#.into()),
        ("event_too_large", "data", with("data", &huge)),
        (
            "event_too_large",
            "events[1].data",
            many(&with("data", &huge)),
        ),
    ];
    let mut wrong = Vec::new();
    for (code, field, body) in refusals {
        let status = if code == "event_too_large" { 413 } else { 400 };
        let answer = Answer::to(json_body(&service, body.clone())).await;
        let (start, problem) = (&body[..body.len().min(90)], answer.text.clone());
        if answer.status != status {
            wrong.push(format!("{} {problem} for {start}", answer.status));
            continue;
        }
        let named = answer.refused(status, code, start).unwrap_or_default();
        if named != field {
            wrong.push(format!("{named:?}, not {field:?}: {problem} for {start}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused() {
    let service = Service::start().await;
    let good = with("version", "1");
    for media_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "\u{e4}",
    ] {
        let request = publish(&service).header("content-type", media_type.as_bytes());
        let answer = Answer::to(request.body(good.clone())).await;
        let field = answer.refused(415, "unsupported_media_type", media_type);
        assert_eq!(field.as_deref(), Some("Content-Type"));
    }
    let answer = Answer::to(publish(&service).body(good.clone())).await;
    answer.refused(415, "unsupported_media_type", "no media type");
    for coding in ["gzip", "br", "identity", "nonsense"] {
        let request = json_body(&service, good.clone()).header("content-encoding", coding);
        let field = Answer::to(request)
            .await
            .refused(415, "unsupported_encoding", coding);
        assert_eq!(field.as_deref(), Some("Content-Encoding"));
    }
    for bytes in [
        &b"{\"type\":\"\xff\"}"[..],
        b"\xff\xfe{\0}\0",
        b"{\"type\":\"t\",\"data\":\"\xc3\"}",
    ] {
        let answer = Answer::to(json_body(&service, bytes.to_vec())).await;
        answer.refused(400, "invalid_body", "not UTF-8");
    }
    let bad_data = [&b"{\"type\":\"t\",\"audience\":{\"broker\":true},\"data\":\"\xc3\x28\"}"[..]];
    for bytes in bad_data {
        let answer = Answer::to(json_body(&service, bytes.to_vec())).await;
        answer.refused(400, "invalid_body", "data that is not UTF-8");
    }
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let service = Service::start().await;
    for bytes in [262_145, 1 << 20, 8 << 20] {
        let body = " ".repeat(bytes);
        let answer = Answer::to(json_body(&service, body.clone())).await;
        answer.refused(413, "body_too_large", "with a length");
        let parts = body
            .into_bytes()
            .chunks(65_536)
            .map(Bytes::copy_from_slice)
            .collect::<Vec<_>>();
        let parts = futures_util::stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
        let request = json_body(&service, reqwest::Body::wrap_stream(parts));
        Answer::to(request)
            .await
            .refused(413, "body_too_large", "in parts");
    }
    let padded = format!("{}{}", with("version", "1"), " ".repeat(262_144));
    works_and_holds_nothing(&service).await;
    let answer = Answer::to(json_body(&service, padded[..262_144].to_owned())).await;
    assert_eq!(
        answer.status, 201,
        "the limit itself is allowed: {}",
        answer.text
    );
}

#[tokio::test]
async fn a_bad_idempotency_key_is_refused() {
    let service = Service::start().await;
    let long = "k".repeat(256);
    for key in [
        &b""[..],
        b"\xff",
        b"a\tb",
        "schl\u{fc}ssel".as_bytes(),
        long.as_bytes(),
    ] {
        let request = json_body(&service, with("version", "1")).header("idempotency-key", key);
        let answer = Answer::to(request).await;
        let field = answer.refused(400, "invalid_parameter", &String::from_utf8_lossy(key));
        assert_eq!(field.as_deref(), Some("Idempotency-Key"));
    }
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let (long, parts) = ("x".repeat(65), "a,".repeat(101) + "a");
    let records = "a/b,".repeat(101) + "a/b";
    let of_all: Vec<(String, &str)> = [
        ("nonsense=1", "nonsense"),
        ("Types=t", "Types"),
        ("types=", "types"),
        ("types=a%20b", "types"),
        ("types=a,,b", "types"),
        ("types=**", "types"),
        ("types=%00", "types"),
        ("types=a&types=a", "types"),
        ("types", "types"),
        (&format!("types={parts}"), "types"),
        (&format!("types={long}"), "types"),
        ("=", ""),
    ]
    .map(|(query, field)| (query.to_owned(), field))
    .into();
    let of_records: Vec<(String, &str)> = [
        ("records=", "records"),
        ("records=escrows", "records"),
        ("records=escrows/", "records"),
        ("records=a/b/c", "records"),
        ("records=a/b&records=a/c", "records"),
        (&format!("records={records}"), "records"),
    ]
    .map(|(query, field)| (query.to_owned(), field))
    .into();
    let of_streams = [
        ("since=", "since"),
        ("since=x", "since"),
        ("since=-0", "since"),
        ("since=-10001", "since"),
        ("since=1.5", "since"),
        ("since=-1e3", "since"),
        ("since=9223372036854775808", "since"),
        ("since=1-", "since"),
        ("since=1-%C3%A4", "since"),
        ("since=0&since=0", "since"),
        ("since=%00", "since"),
        ("named=", "named"),
        ("named=yes", "named"),
        ("named=True", "named"),
        ("scope=all", "scope"),
        ("after=0", "after"),
        ("limit=1", "limit"),
        ("wait=1", "wait"),
    ];
    let of_history = [
        ("scope=", "scope"),
        ("scope=everything", "scope"),
        ("scope=All", "scope"),
        ("team=a", "team"),
        ("scope=user&team=a", "team"),
        ("scope=team&team=", "team"),
        ("scope=team&team=a%20b", "team"),
        ("scope=team&team=a&team=a", "team"),
        ("after=", "after"),
        ("after=x", "after"),
        ("after=-5", "after"),
        ("after=1-%00", "after"),
        ("after=9223372036854775808", "after"),
        ("before=", "before"),
        ("before=x", "before"),
        ("after=1&before=2", "before"),
        ("before=5&wait=1", "wait"),
        ("limit=", "limit"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("limit=1e2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=1", "limit"),
        ("wait=-1", "wait"),
        ("wait=61", "wait"),
        ("wait=0.5", "wait"),
        ("since=0", "since"),
        ("named=true", "named"),
    ];
    let mut asked: Vec<(String, &str)> = Vec::new();
    for path in [
        "/stream",
        "/stream/user",
        "/stream/team",
        "/stream/broker",
        "/stream/records/m/i",
        "/events",
    ] {
        let of_all = of_all
            .iter()
            .chain(of_records.iter().filter(|_| !path.contains("records")));
        asked.extend(of_all.map(|(query, field)| (format!("{path}?{query}"), *field)));
        let own: &[(&str, &str)] = if path == "/events" {
            &of_history
        } else {
            &of_streams
        };
        asked.extend(
            own.iter()
                .map(|(query, field)| (format!("{path}?{query}"), *field)),
        );
        if path != "/events" && path != "/stream/team" {
            asked.push((format!("{path}?team=a"), "team"));
        }
    }
    asked.push(("/stream/team?team=a%2Fb".into(), "team"));
    asked.push(("/stream/records/m/i?records=a/b".into(), "records"));
    for (path, field) in [
        ("/stream/records/a%20b/i", "module"),
        ("/stream/records/m/a%2Fb", "id"),
        ("/stream/records/m/%00", "id"),
        ("/stream/records/m/%C3%A4", "id"),
        (&format!("/stream/records/{long}/i"), "module"),
        (&format!("/stream/records/m/{long}"), "id"),
    ] {
        asked.push((path.to_owned(), field));
    }
    for (path, field) in asked {
        let answer = Answer::to(service.get(&path, &token)).await;
        let named = answer.refused(400, "invalid_parameter", &path);
        assert_eq!(named.as_deref(), Some(field), "{path}: {}", answer.text);
    }
    // What is no UTF-8 cannot be named.
    for path in [
        "/stream?types=%ff",
        "/events?%c3=1",
        "/stream?since=%c3%28",
        "/stream/records/m/%ff",
    ] {
        Answer::to(service.get(path, &token))
            .await
            .refused(400, "invalid_parameter", path);
    }
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let service = Service::start().await;
    let methods = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
    ];
    for (path, allowed) in [
        ("/", "GET"),
        ("/console.js", "GET"),
        ("/stream", "GET"),
        ("/stream/user", "GET"),
        ("/stream/team", "GET"),
        ("/stream/broker", "GET"),
        ("/stream/records/m/i", "GET"),
        ("/events", "GET, POST"),
        ("/health/live", "GET"),
        ("/health/ready", "GET"),
        ("/metrics", "GET"),
        ("/openapi.json", "GET"),
    ] {
        for method in methods.iter().filter(|method| !allowed.contains(*method)) {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let request = service.client.request(method.clone(), service.url(path));
            let answer = Answer::to(request.bearer_auth(Token::service("b").signed())).await;
            answer.refused(405, "method_not_allowed", &format!("{method} {path}"));
            assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        }
    }
    for path in [
        "/nowhere",
        "/stream/",
        "/stream/nobody",
        "/stream/records",
        "/stream/records/m",
        "/stream/records/m/i/more",
        "/stream/records/m/",
        "/Stream",
        "/events/1",
        "//events",
        "/health",
        "/console",
        "/%00",
        "/%ff",
        "/%2e%2e/etc/passwd",
        "/stream%2Fuser",
        "/events%00",
    ] {
        for method in [Method::GET, Method::POST] {
            let request = service.client.request(method, service.url(path));
            Answer::to(request).await.refused(404, "not_found", path);
        }
    }
    works_and_holds_nothing(&service).await;
}

#[tokio::test]
async fn a_last_event_id_that_makes_no_sense_is_a_reset_and_not_an_error() {
    let service = Service::start().await;
    let long = "1".repeat(4_000);
    for id in [
        &b"x"[..],
        b"\xff\xfe",
        b"-1",
        b"0x1",
        b"1-",
        b"1-a b",
        b"9223372036854775808",
        long.as_bytes(),
    ] {
        let request = service.get("/stream?since=0", &Token::user("u", &["a"]));
        let mut stream = crate::support::Stream::open(request.header("last-event-id", id)).await;
        assert_eq!(stream.status, 200);
        assert_eq!(stream.next().await.name, "stream:ready");
        let reset = stream.next().await.json();
        assert_eq!(
            reset["reason"],
            "unknown",
            "{:?}",
            String::from_utf8_lossy(id)
        );
    }
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
        assert!(
            !answer.starts_with("HTTP/1.1 2") || first.contains("HTTP/1.1\r\na: b"),
            "{first}: {answer}"
        );
        assert!(
            !answer.starts_with("HTTP/1.1 5") || first.contains("HTTP/9.9"),
            "{first}: {answer}"
        );
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

#[tokio::test]
async fn whatever_is_asked_and_sent_at_random_is_never_a_fault_of_the_service() {
    let service = Service::start().await;
    let mut chance = Chance(0x5eed);
    let token = Token::user("u", &["a"]);
    for _ in 0..400 {
        let body = chance.mutated(&with(
            "data",
            r#"{"a":[1,2.50,"\u0041",null],"b":{"c":true}}"#,
        ));
        let answer = Answer::to(json_body(&service, body.clone())).await;
        let what = String::from_utf8_lossy(&body).into_owned();
        assert!(
            matches!(answer.status, 201 | 400),
            "{what}: {}",
            answer.text
        );
        if answer.status == 400 {
            let code = answer.json()["code"].as_str().expect("a code").to_owned();
            answer.refused(400, &code, &what);
        }
        let query =
            chance.mutated("types=escrow:*,t&records=a/b&limit=7&after=0&scope=team&team=a");
        let query: String = query
            .iter()
            .map(|byte| match byte {
                b' '..=b'~' if !b"#\"<>% ".contains(byte) => char::from(*byte).to_string(),
                byte => format!("%{byte:02x}"),
            })
            .collect();
        let answer = Answer::to(service.get(&format!("/events?{query}"), &token)).await;
        assert!(
            matches!(answer.status, 200 | 400 | 404 | 410),
            "{query}: {}",
            answer.text
        );
    }
    let page = service.list("/events?limit=1000", &token).await;
    let listed: Vec<&Value> = page["events"].as_array().expect("events").iter().collect();
    assert!(listed.iter().all(|event| event["type"].is_string()));
}

/// Numbers that look random and come again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a number") % n
    }

    /// The text with a few bytes changed, left out, doubled or put elsewhere.
    fn mutated(&mut self, text: &str) -> Vec<u8> {
        const ODD: &[u8] = b"{}[]\",:\\/-+.eE019 \0\n\r\xff\xc3\x80ntf&=%";
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let (at, other) = (self.below(bytes.len()), self.below(bytes.len()));
            match self.below(5) {
                0 => bytes[at] = ODD[self.below(ODD.len())],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, ODD[self.below(ODD.len())]),
                3 => bytes.swap(at, other),
                _ => bytes.extend_from_within(at..),
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        bytes
    }
}
