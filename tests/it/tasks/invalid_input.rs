//! Invalid input is refused with an explanation, and changes nothing.

use serde_json::{Value, json};

use super::{QUICK, ann, claim, post, say, task, two, worker};
use crate::support::Answer;

#[tokio::test]
async fn orders_that_make_no_sense_are_refused_by_field() {
    let [a, _] = &two(QUICK).await;
    let deep = format!("{}1{}", "[".repeat(101), "]".repeat(101));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let many: Vec<_> = (0..101).map(|_| json!({"type": "x"})).collect();
    for (body, field) in [
        (json!([]), None),
        (json!({}), Some("type")),
        (json!({"type": ""}), Some("type")),
        (json!({"type": "a b"}), Some("type")),
        (json!({"type": "x", "colour": 1}), Some("colour")),
        (json!({"type": "x", "title": ""}), Some("title")),
        (
            json!({"type": "x", "title": "x".repeat(201)}),
            Some("title"),
        ),
        (json!({"type": "x", "title": "\0"}), Some("title")),
        (json!({"type": "x", "params": deep}), Some("params")),
        (json!({"type": "x", "maxAttempts": 0}), Some("maxAttempts")),
        (json!({"type": "x", "maxAttempts": 11}), Some("maxAttempts")),
        (
            json!({"type": "x", "maxAttempts": 1.5}),
            Some("maxAttempts"),
        ),
        (
            json!({"type": "x", "idempotencyKey": ""}),
            Some("idempotencyKey"),
        ),
        (
            json!({"type": "x", "idempotencyKey": "é"}),
            Some("idempotencyKey"),
        ),
        (json!({"type": "x", "children": []}), Some("children")),
        (json!({"type": "x", "children": many}), Some("children")),
        (
            json!({"type": "x", "children": [{}]}),
            Some("children[0].type"),
        ),
        (
            json!({"type": "x", "children": [{"type": "x", "team": "a"}]}),
            Some("team"),
        ),
        (
            json!({"type": "x", "children": [{"type": "x", "maxAttempts": 99}]}),
            Some("children[0].maxAttempts"),
        ),
    ] {
        let refused = post(a, &ann(), "/tasks", &body).await;
        let named = refused.refused(400, "invalid_body", &body.to_string());
        if let (Some(named), Some(field)) = (&named, field) {
            assert!(
                named.ends_with(field.rsplit('.').next().unwrap()),
                "{named} {field}"
            );
        }
        assert_eq!(named.is_some(), field.is_some(), "{body} {}", refused.text);
    }
    let large = json!({"type": "x", "params": "x".repeat(20 << 20)});
    let refused = post(a, &ann(), "/tasks", &large).await;
    refused.refused(413, "body_too_large", "20 MB of params");
    assert_eq!(a.list("/tasks", &ann()).await["tasks"], json!([]));
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_by_parameter() {
    let [a, _] = &two(QUICK).await;
    let id = task(a, &ann()).await;
    for (path, field) in [
        ("/tasks?state=done".to_owned(), "state"),
        ("/tasks?type=a%20b".to_owned(), "type"),
        ("/tasks?limit=0".to_owned(), "limit"),
        ("/tasks?limit=201".to_owned(), "limit"),
        ("/tasks?limit=x".to_owned(), "limit"),
        ("/tasks?cursor=x".to_owned(), "cursor"),
        ("/tasks?parent=%2F".to_owned(), "parent"),
        ("/tasks?colour=1".to_owned(), "colour"),
        ("/tasks/a%20b".to_owned(), "id"),
        (format!("/tasks/{id}?a=1"), "a"),
        (format!("/tasks/{id}/output?offset=-1"), "offset"),
        (format!("/tasks/{id}/output?offset=x"), "offset"),
        (format!("/tasks/{id}/output?heartbeat=0"), "heartbeat"),
        (format!("/tasks/{id}/output?since=1"), "since"),
    ] {
        let refused = Answer::to(a.get(&path, &ann())).await;
        let named = refused.refused(400, "invalid_parameter", &path);
        assert_eq!(named.as_deref(), Some(field), "{path}");
    }
    let beyond = Answer::to(a.get(&format!("/tasks/{id}/output?offset=1"), &ann())).await;
    beyond.refused(416, "wrong_offset", "beyond the end");
    let unknown = Answer::to(a.get("/tasks?parent=nobody", &ann())).await;
    unknown.refused(404, "unknown_task", "steps of nothing");
}

#[tokio::test]
async fn reports_that_make_no_sense_are_refused_and_change_nothing() {
    let [a, b] = &two(QUICK).await;
    let wes = worker("wes");
    for body in [
        json!({}),
        json!({"types": []}),
        json!({"types": ["a b"]}),
        json!({"types": ["import"], "waitSeconds": 61}),
        json!({"types": ["import"], "waitSeconds": -1}),
        json!({"types": ["import"], "worker": "me"}),
        json!({"types": vec!["import"; 101]}),
    ] {
        let refused = post(a, &wes, "/tasks/claim", &body).await;
        refused.refused(400, "invalid_body", &body.to_string());
    }
    for lease in [0, 86_401] {
        let body = json!({"types": ["import"], "leaseSeconds": lease});
        let refused = post(a, &wes, "/tasks/claim", &body).await;
        assert_eq!(
            refused.refused(400, "invalid_lease", "a lease").as_deref(),
            Some("leaseSeconds")
        );
    }
    let id = task(a, &ann()).await;
    let (_, fence) = claim(a, &wes).await;
    let with = |mut body: Value| {
        body["fence"] = json!(fence);
        body
    };
    for (what, body) in [
        ("progress", json!({"percent": 1})),
        ("progress", with(json!({"percent": 101}))),
        ("progress", with(json!({"percent": -1}))),
        ("progress", with(json!({"percent": 100.01}))),
        ("progress", with(json!({"step": 1}))),
        ("progress", with(json!({"steps": 1}))),
        ("progress", with(json!({"step": 2, "steps": 1}))),
        ("progress", with(json!({"step": -1, "steps": 1}))),
        ("progress", with(json!({"message": ""}))),
        ("progress", with(json!({"message": "x".repeat(1_001)}))),
        ("progress", with(json!({"message": "\0"}))),
        ("progress", with(json!({"colour": 1}))),
        ("complete", with(json!({"outcome": 1}))),
        ("complete", json!({"fence": "1"})),
        ("fail", with(json!({}))),
        (
            "fail",
            with(json!({"error": {"code": "a b", "message": "x"}})),
        ),
        ("fail", with(json!({"error": {"code": "a"}}))),
        (
            "fail",
            with(json!({"error": {"code": "a", "message": "x", "status": 1}})),
        ),
        ("cancelled", with(json!({"why": 1}))),
        ("output", with(json!({"offset": 0, "text": ""}))),
        ("output", with(json!({"offset": -1, "text": "x"}))),
        ("output", with(json!({"offset": 0, "text": "a\0b"}))),
        ("output", with(json!({"text": "x"}))),
    ] {
        let refused = say(b, &wes, &id, what, body.clone()).await;
        refused.refused(400, "invalid_body", &format!("{what} {body}"));
    }
    let large = "x".repeat(70_000);
    for (what, field) in [("progress", "partial"), ("complete", "result")] {
        let refused = say(a, &wes, &id, what, with(json!({field: large}))).await;
        let named = refused.refused(413, "event_too_large", what);
        assert_eq!(named.as_deref(), Some(field));
    }
    for fence in [-1, 0, fence + 1] {
        let refused = say(a, &wes, &id, "progress", json!({"fence": fence})).await;
        refused.refused(409, "lease_lost", "a fence that was never given");
    }
    say(a, &wes, &id, "cancelled", with(json!({})))
        .await
        .refused(
            409,
            "wrong_state",
            "an acknowledgement that nobody asked for",
        );
    say(a, &wes, "nobody", "progress", with(json!({})))
        .await
        .refused(404, "unknown_task", "a task that is none");
    let task = super::get(a, &ann(), &id).await;
    assert_eq!(
        (&task["version"], &task["percent"]),
        (&json!(2), &Value::Null)
    );
}

#[tokio::test]
async fn what_says_nothing_needs_no_body() {
    let [a, _] = &two(QUICK).await;
    let ann = ann();
    let id = task(a, &ann).await;
    let send = async |path: &str, body: Option<&'static str>| {
        let request = a.client.post(a.url(path)).bearer_auth(ann.signed());
        let request = body
            .into_iter()
            .fold(request, reqwest::RequestBuilder::body);
        Answer::to(request).await
    };
    let cancel = format!("/tasks/{id}/cancel");
    // A report without changes is still checked.
    send(&cancel, Some("{}"))
        .await
        .refused(415, "unsupported_media_type", "a body of no type");
    assert_eq!(send(&cancel, None).await.json()["state"], "cancelled");
    assert_eq!(send(&cancel, Some("")).await.status, 200);
    let retry = format!("/tasks/{id}/retry");
    assert_eq!(send(&retry, None).await.status, 201);
    let read_all = send("/notifications/read-all", None).await;
    assert_eq!(read_all.json(), json!({"unread": 0}));
}
