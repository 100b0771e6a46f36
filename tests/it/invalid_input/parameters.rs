//! Invalid parameters, methods, paths and positions.

use porchlight::identity::Role;
use reqwest::Method;
use serde_json::json;

use super::works_and_holds_nothing;
use crate::support::{Answer, Service, Stream, Token};

const OF_STREAMS: &[(&str, &str)] = &[
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
    ("batch=", "batch"),
    ("batch=9", "batch"),
    ("batch=1001", "batch"),
    ("batch=1e2", "batch"),
    ("batch=100&batch=100", "batch"),
    ("coalesce=", "coalesce"),
    ("coalesce=true", "coalesce"),
    ("coalesce=records", "coalesce"),
    ("heartbeat=", "heartbeat"),
    ("heartbeat=0", "heartbeat"),
    ("heartbeat=301", "heartbeat"),
    ("heartbeat=8s", "heartbeat"),
    ("scope=all", "scope"),
    ("after=0", "after"),
    ("limit=1", "limit"),
    ("wait=1", "wait"),
];

const OF_HISTORY: &[(&str, &str)] = &[
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
    ("batch=100", "batch"),
];

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
            OF_HISTORY
        } else {
            OF_STREAMS
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
    // A name that is not UTF-8 cannot be repeated in the answer.
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
        ("/", "GET, HEAD"),
        ("/console/console/console.js", "GET, HEAD"),
        ("/inspector", "GET, HEAD"),
        ("/operations", "GET, HEAD"),
        ("/demo", "GET, HEAD, POST"),
        ("/stream", "GET"),
        ("/stream/user", "GET"),
        ("/stream/team", "GET"),
        ("/stream/broker", "GET"),
        ("/stream/records/m/i", "GET"),
        ("/events", "GET, HEAD, POST"),
        ("/health/live", "GET, HEAD"),
        ("/health/ready", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
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
        "/records/a/b/c/d",
        "/recordsx/a",
        "/tasks/",
        "/tasks/a/b/c",
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
        let mut stream = Stream::open(request.header("last-event-id", id)).await;
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
async fn every_endpoint_names_a_parameter_that_it_does_not_know() {
    let service = Service::start().await;
    let operations = [
        "/health/",
        "/metrics",
        "/openapi.json",
        "/console/",
        "/inspector",
        "/operations",
    ];
    let is_of_users = |path: &str| path != "/" && !operations.iter().any(|p| path.starts_with(p));
    let mut checked = 0;
    for endpoint in porchlight::api::routes::all() {
        if !is_of_users(endpoint.path) {
            continue;
        }
        let path = endpoint
            .path
            .replace("{module}", "escrows")
            .replace("{id}", "1");
        for role in [Role::Agent, Role::Worker, Role::Service] {
            let token = Token::user("ann", &["a"]).in_role(role);
            let url = service.url(&format!("{path}?surprise=1"));
            let request = service
                .client
                .request(endpoint.method.as_str().parse().unwrap(), url);
            let answer = Answer::to(request.bearer_auth(token.signed()).json(&json!({}))).await;
            if answer.status != 403 {
                let what = format!("{} {path} by {role:?}", endpoint.method);
                let field = answer.refused(400, "invalid_parameter", &what);
                assert_eq!(field.as_deref(), Some("surprise"), "{what}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked}");
}

#[tokio::test]
async fn whatever_has_an_end_can_be_asked_for_its_headers_alone() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let head = async |path: &str| {
        let request = service.client.head(service.url(path));
        Answer::to(request.bearer_auth(token.signed())).await
    };
    for path in [
        "/",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/events",
        "/records/leads",
        "/records/leads/none",
        "/records/leads?limit=0",
        "/nowhere",
    ] {
        let (get, head) = (service.get(path, &token), head(path).await);
        let get = Answer::to(get).await;
        assert_eq!((head.status, &*head.text), (get.status, ""), "{path}");
        for name in ["content-type", "content-length", "etag", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        let has_position = |answer: &Answer| !answer.header("stream-position").is_empty();
        assert_eq!(has_position(&head), has_position(&get), "{path}");
    }
    for path in ["/stream", "/stream/records/m/i", "/tasks/t/output"] {
        let answer = head(path).await;
        assert_eq!((answer.status, &*answer.text), (405, ""), "{path}");
    }
    works_and_holds_nothing(&service).await;
}
