//! Invalid requests are refused with the field, and change nothing.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{admin, agent, notify, send, two};
use crate::support::Answer;

async fn everything(connection: &mut PgConnection) -> String {
    let sql = "select concat((select json_agg(n) from porchlight.notifications n),
        (select json_agg(m.user_id) from porchlight.notification_marks m where m.read_up_to > 0),
        (select json_agg(r) from porchlight.notification_reads r),
        (select json_agg(p) from porchlight.notification_preferences p),
        (select json_agg(e) from porchlight.events e))";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_bad_field_is_named_and_nothing_changes() {
    let [a, b] = &two(&[]).await;
    notify(a, &admin(&["a"]), json!({"broker": true}), "t").await;
    let mut connection = a.database.connect().await;
    let before = everything(&mut connection).await;
    let whole = json!({"audience": {"user": "ann"}, "level": "info", "title": "t"});
    for (name, value, code, field) in [
        ("audience", json!(null), "invalid_body", "audience"),
        ("audience", json!({}), "invalid_body", "audience"),
        (
            "audience",
            json!({"broker": false}),
            "invalid_body",
            "audience.broker",
        ),
        (
            "audience",
            json!({"user": "a b "}),
            "invalid_body",
            "audience.user",
        ),
        (
            "audience",
            json!({"team": 7}),
            "invalid_body",
            "audience.team",
        ),
        (
            "audience",
            json!({"user": "a", "team": "b"}),
            "invalid_body",
            "audience",
        ),
        ("level", json!("loud"), "invalid_body", "level"),
        ("level", json!("Info"), "invalid_body", "level"),
        ("level", json!(null), "invalid_body", "level"),
        ("system", json!("party"), "invalid_body", "system"),
        ("system", json!("broadcast"), "invalid_body", "audience"),
        ("title", json!(""), "invalid_body", "title"),
        ("title", json!("  "), "invalid_body", "title"),
        ("title", json!("a\nb"), "invalid_body", "title"),
        ("title", json!("a\u{0}"), "invalid_body", "title"),
        ("title", json!("x".repeat(201)), "invalid_body", "title"),
        ("title", json!(7), "invalid_body", "title"),
        ("body", json!(""), "invalid_body", "body"),
        ("body", json!("a\u{0}"), "invalid_body", "body"),
        ("body", json!("x".repeat(4_001)), "invalid_body", "body"),
        ("module", json!("castles"), "unknown_module", "module"),
        ("module", json!("a b"), "invalid_body", "module"),
        ("recordId", json!("l-1"), "module_missing", "module"),
        ("kind", json!("taskEnded"), "invalid_body", "kind"),
        ("userId", json!("bob"), "invalid_body", "userId"),
        ("id", json!(1), "invalid_body", "id"),
    ] {
        let mut body = whole.clone();
        body[name] = value;
        let answer = send(b, &admin(&["a"]), Method::POST, "/notifications", &body).await;
        let named = answer.refused(400, code, &format!("{body}"));
        assert_eq!(named.as_deref(), Some(field), "{body}");
    }
    for (path, body, code, field) in [
        (
            "/notifications?x=1",
            whole.clone(),
            "invalid_parameter",
            "x",
        ),
        (
            "/notifications/x/read",
            json!({}),
            "invalid_parameter",
            "id",
        ),
        (
            "/notifications/0/read",
            json!({}),
            "invalid_parameter",
            "id",
        ),
        (
            "/notifications/-1/read",
            json!({}),
            "invalid_parameter",
            "id",
        ),
        (
            "/notifications/+1/read",
            json!({}),
            "invalid_parameter",
            "id",
        ),
        (
            "/notifications/9223372036854775808/read",
            json!({}),
            "invalid_parameter",
            "id",
        ),
        (
            "/notifications/1/read",
            json!({"unread": 1}),
            "invalid_body",
            "unread",
        ),
        (
            "/notifications/1/read?all=1",
            json!({}),
            "invalid_parameter",
            "all",
        ),
        (
            "/notifications/read-all",
            json!({"upTo": 0}),
            "invalid_body",
            "upTo",
        ),
        (
            "/notifications/read-all",
            json!({"upTo": -1}),
            "invalid_body",
            "upTo",
        ),
        (
            "/notifications/read-all",
            json!({"upTo": "1"}),
            "invalid_body",
            "upTo",
        ),
        (
            "/notifications/read-all",
            json!({"upTo": 1.5}),
            "invalid_body",
            "upTo",
        ),
        (
            "/notifications/read-all",
            json!({"id": 1}),
            "invalid_body",
            "id",
        ),
    ] {
        let answer = send(b, &agent("ann"), Method::POST, path, &body).await;
        let named = answer.refused(400, code, path);
        assert_eq!(named.as_deref(), Some(field), "{path} {body}");
    }
    for (body, field) in [
        (json!({"everything": true}), "everything"),
        (json!({"task_ended": true}), "task_ended"),
        (json!({"taskEnded": "yes"}), "taskEnded"),
        (json!({"taskEnded": 1, "recordChanged": false}), "taskEnded"),
    ] {
        let path = "/notifications/preferences";
        let answer = send(b, &agent("ann"), Method::PUT, path, &body).await;
        let named = answer.refused(400, "invalid_body", &body.to_string());
        assert_eq!(named.as_deref(), Some(field), "{body}");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=0", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=1-abc", "cursor"),
        ("unread=1", "unread"),
        ("unread=true&unread=true", "unread"),
        ("since=1", "since"),
    ] {
        let path = format!("/notifications?{query}");
        let answer = send(b, &agent("ann"), Method::GET, &path, &Value::Null).await;
        let named = answer.refused(400, "invalid_parameter", query);
        assert_eq!(named.as_deref(), Some(field), "{query}");
    }
    assert_eq!(everything(&mut connection).await, before);
}

#[tokio::test]
async fn nobody_is_nobody_and_bodies_are_objects() {
    let [a, _] = &two(&[]).await;
    let ann = agent("ann").signed();
    for (method, path) in [
        (Method::GET, "/notifications"),
        (Method::POST, "/notifications"),
        (Method::POST, "/notifications/1/read"),
        (Method::POST, "/notifications/read-all"),
        (Method::GET, "/notifications/preferences"),
        (Method::PUT, "/notifications/preferences"),
        (Method::GET, "/activity"),
    ] {
        let bare = a.client.request(method.clone(), a.url(path));
        Answer::to(bare).await.refused(401, "token_missing", path);
        if method == Method::GET {
            continue;
        }
        // Who reads need not say more than that.
        let bodies = ["", "[]", "{", "null", "\"t\"", "[true]"];
        let may_be_empty = path.contains("/read");
        for body in bodies.into_iter().skip(usize::from(may_be_empty)) {
            let request = a
                .client
                .request(method.clone(), a.url(path))
                .bearer_auth(&ann);
            let request = request
                .header("content-type", "application/json")
                .body(body);
            Answer::to(request).await.refused(400, "invalid_body", path);
        }
    }
}
