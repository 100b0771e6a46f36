//! Answers and events that the document does not describe are noticed. The tests that use
//! [`Answer`] and [`Stream`] check theirs by this.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::support::openapi::{DESCRIBED, Received, Sent, assert_event_described, contradictions};
use crate::support::{Answer, Message, Service, Token};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (HeaderName::from_static(name), value)
    });
    pairs.collect()
}

fn sent(method: &str, path: &str, body: &Value) -> Sent {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (has_body, text) = (!body.is_null(), body.to_string());
    Sent {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers(&[("content-type", "application/json")]),
        body: Some(if has_body {
            text.into_bytes()
        } else {
            Vec::new()
        }),
    }
}

/// What is wrong with an answer to `GET /locks`.
fn of_locks(status: u16, pairs: &[(&'static str, &'static str)], body: &str) -> String {
    let headers = headers(pairs);
    let received = Received {
        status,
        headers: &headers,
        body: Some(body),
    };
    contradictions(&sent("GET", "/locks", &Value::Null), received).join("\n")
}

const USUAL: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("stream-position", "7-k7q2mw"),
    ("x-request-id", "1"),
];

#[test]
fn answers_that_are_not_described_are_noticed() {
    let none = r#"{"locks":[],"next":null}"#;
    assert_eq!(of_locks(200, &USUAL, none), "");
    for (found, word) in [
        (of_locks(202, &USUAL, none), "status 202"),
        (of_locks(200, &USUAL[..2], none), "x-request-id is missing"),
        (of_locks(200, &USUAL[1..], none), "a body of type"),
        (of_locks(200, &USUAL, "{}"), "locks"),
        (of_locks(200, &USUAL, "{"), "not JSON"),
        (
            of_locks(200, &USUAL, r#"{"locks":[],"next":null,"more":1}"#),
            "more",
        ),
        (
            of_locks(200, &USUAL, r#"{"locks":[{"module":"m"}],"next":null}"#),
            "fence",
        ),
    ] {
        assert!(found.contains(word), "{word}: {found}");
    }
    let [content_type, _, id] = USUAL;
    let strange = [content_type, ("stream-position", "seven"), id];
    assert!(of_locks(200, &strange, none).contains("stream-position"));
    let many = [USUAL[0], USUAL[1], USUAL[2], ("etag", "\"1\"")];
    assert!(of_locks(200, &many, none).contains("etag is not described"));
}

#[test]
fn members_of_problems_are_described_one_by_one() {
    let of = |status: u16, code: &str, member: Value| {
        let mut problem = json!({
            "type": format!("urn:porchlight:problem:{code}"), "title": "No",
            "status": status, "code": code, "detail": "No.",
        });
        for (name, value) in member.as_object().expect("an object") {
            problem[name] = value.clone();
        }
        let headers = headers(&[
            ("content-type", "application/problem+json"),
            ("x-request-id", "1"),
        ]);
        let body = problem.to_string();
        let received = Received {
            status,
            headers: &headers,
            body: Some(&body),
        };
        let path = "/tasks/t/complete";
        contradictions(&sent("POST", path, &json!({"fence": 1})), received)
    };
    assert_eq!(of(409, "wrong_state", json!({"state": "failed"})), [""; 0]);
    assert_eq!(of(409, "wrong_state", json!({"state": "lost"})).len(), 1);
    assert_eq!(of(409, "wrong_state", json!({"lock": {}})).len(), 1);
    assert_eq!(of(409, "no_such_code", json!({})).len(), 1);
    assert_eq!(of(404, "unknown_task", json!({"state": "failed"})).len(), 1);
}

#[test]
fn requests_that_are_accepted_must_be_described() {
    let found = |method, path: &str, status, body: Value| {
        let headers = headers(&USUAL);
        let received = Received {
            status,
            headers: &headers,
            body: None,
        };
        contradictions(&sent(method, path, &body), received).join("\n")
    };
    assert_eq!(found("GET", "/locks?module=m", 200, Value::Null), "");
    let colour = found("GET", "/locks?colour=red", 200, Value::Null);
    assert!(colour.contains("colour is not described"), "{colour}");
    let record = found("GET", "/locks?record=e", 200, Value::Null);
    assert!(record.contains("record"), "{record}");
    let lease = json!({"module": "m", "recordId": "r", "session": "s", "leaseSeconds": 1});
    let lease = found("POST", "/locks", 201, lease);
    assert!(lease.contains("leaseSeconds"), "{lease}");
    assert!(found("POST", "/locks", 201, Value::Null).contains("no body"));
}

#[test]
#[should_panic(expected = "inSeconds")]
fn events_that_are_not_described_are_noticed() {
    let stream = DESCRIBED.operation("GET", "/stream").expect("it is there");
    let message = Message {
        name: "stream:expiring".to_owned(),
        data: json!({"type": "stream:expiring", "inSeconds": "sixty"}).to_string(),
        id: String::new(),
        has_id: false,
    };
    assert_event_described(&stream.responses[&200], &message);
}

#[tokio::test]
async fn what_is_no_operation_is_refused_as_described() {
    let service = Service::start().await;
    let ann = Token::user("ann", &[]);
    let nowhere = Answer::to(service.get("/nowhere", &ann)).await;
    nowhere.refused(404, "not_found", "a path that is none");
    let put = service.client.put(service.url("/locks"));
    let put = Answer::to(put.bearer_auth(ann.signed())).await;
    put.refused(405, "method_not_allowed", "a method that is none");
    let strange = service
        .get("/locks", &ann)
        .header("origin", "https://example.com");
    let strange = Answer::to(strange).await;
    strange.refused(403, "origin_not_allowed", "an origin that is none");
}

#[tokio::test]
async fn what_is_no_name_in_a_path_is_refused_like_any_parameter() {
    let service = Service::start().await;
    let ann = Token::user("ann", &["a"]);
    for (path, field) in [
        ("/tasks/%FF", "id"),
        ("/tasks/a%20b", "id"),
        ("/records/%C3%A4", "module"),
        ("/records/escrows/%FF", "id"),
        ("/notifications/%FF/read", "id"),
    ] {
        let request = match path.strip_suffix("/read") {
            Some(_) => service
                .client
                .post(service.url(path))
                .bearer_auth(ann.signed()),
            None => service.get(path, &ann),
        };
        let refused = Answer::to(request).await;
        let named = refused.refused(400, "invalid_parameter", path);
        assert_eq!(named.as_deref(), Some(field), "{path}");
    }
}
