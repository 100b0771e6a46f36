//! Invalid requests are refused with the field, and change nothing.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{RECORD, agent, lock, send, two};

/// All rows of locks and events.
async fn everything(connection: &mut PgConnection) -> String {
    let sql = "select concat((select json_agg(l) from porchlight.locks l),
                             (select json_agg(e) from porchlight.events e))";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Bodies that are invalid for every endpoint with a session, and the field at fault.
fn bad_claims() -> Vec<(Value, &'static str, &'static str)> {
    let long = "x".repeat(65);
    let lease = |seconds: Value| {
        let body = json!({"session": "tab", "leaseSeconds": seconds});
        (body, "invalid_lease", "leaseSeconds")
    };
    let session = |name: Value| (json!({"session": name}), "invalid_body", "session");
    vec![
        lease(json!(9)),
        lease(json!(0)),
        lease(json!(-1)),
        lease(json!(-300)),
        lease(json!(3_601)),
        lease(json!(1e30)),
        lease(json!(u64::MAX)),
        lease(json!(10.5)),
        (
            json!({"session": "tab", "leaseSeconds": "300"}),
            "invalid_body",
            "leaseSeconds",
        ),
        (
            json!({"session": "tab", "leaseSeconds": [300]}),
            "invalid_body",
            "leaseSeconds",
        ),
        session(json!("")),
        session(json!("a b")),
        session(json!("tab/1")),
        session(json!("tab\u{0}")),
        session(json!(long)),
        session(json!(1)),
        session(json!(null)),
        (json!({}), "invalid_body", "session"),
        (
            json!({"session": "tab", "lease": 300}),
            "invalid_body",
            "lease",
        ),
    ]
}

#[tokio::test]
async fn a_bad_field_is_named_and_nothing_changes() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    lock(a, &ann, RECORD, "tab").await;
    let mut connection = a.database.connect().await;
    let before = everything(&mut connection).await;
    let refuse = async |(path, body): (&str, &Value), code: &str, field: &str| {
        let answer = send(b, &ann, Method::POST, path, body).await;
        let named = answer.refused(400, code, &format!("{path} {body}"));
        assert_eq!(named.as_deref(), Some(field), "{path} {body}");
    };
    for (claim, code, field) in bad_claims() {
        let mut body = claim.clone();
        body["module"] = json!("escrows");
        body["recordId"] = json!(RECORD);
        refuse(("/locks", &body), code, field).await;
        for what in ["renew", "takeover"] {
            let path = format!("/locks/escrows/e-1/{what}");
            refuse((&path, &claim), code, field).await;
        }
    }
    let whole = json!({"module": "escrows", "recordId": RECORD, "session": "tab"});
    for (name, value, code) in [
        ("module", json!("castles"), "unknown_module"),
        ("module", json!("es crows"), "invalid_body"),
        ("module", json!(null), "invalid_body"),
        ("recordId", json!(""), "invalid_body"),
        ("recordId", json!("e/1"), "invalid_body"),
        ("recordId", json!(7), "invalid_body"),
        ("recordId", json!("x".repeat(65)), "invalid_body"),
        ("fence", json!(1), "invalid_body"),
    ] {
        let mut body = whole.clone();
        body[name] = value;
        refuse(("/locks", &body), code, name).await;
    }
    for body in [json!({"session": "a b"}), json!({"session": 1})] {
        refuse(
            ("/locks/escrows/e-1/request", &body),
            "invalid_body",
            "session",
        )
        .await;
    }
    let unknown = json!({"leaseSeconds": 60});
    refuse(
        ("/locks/escrows/e-1/request", &unknown),
        "invalid_body",
        "leaseSeconds",
    )
    .await;
    refuse(
        ("/locks?session=tab", &whole),
        "invalid_parameter",
        "session",
    )
    .await;
    let claim = json!({"session": "tab"});
    for what in ["renew", "request", "takeover"] {
        let path = |record: &str| format!("/locks/{record}/{what}");
        refuse((&path("castles/e-1"), &claim), "unknown_module", "module").await;
        refuse(
            (&path("es%20crows/e-1"), &claim),
            "invalid_parameter",
            "module",
        )
        .await;
        refuse((&path("escrows/e%2F1"), &claim), "invalid_parameter", "id").await;
        let query = path("escrows/e-1") + "?a=b";
        refuse((&query, &claim), "invalid_parameter", "a").await;
    }
    assert_eq!(everything(&mut connection).await, before);
}

#[tokio::test]
async fn a_bad_parameter_is_named_and_nothing_changes() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    lock(a, &ann, RECORD, "tab").await;
    let mut connection = a.database.connect().await;
    let before = everything(&mut connection).await;
    for (method, path, code, field) in [
        (
            Method::DELETE,
            "/locks/castles/e-1",
            "unknown_module",
            "module",
        ),
        (
            Method::DELETE,
            "/locks/escrows/a%20b",
            "invalid_parameter",
            "id",
        ),
        (
            Method::DELETE,
            "/locks/escrows/e-1?session=",
            "invalid_parameter",
            "session",
        ),
        (
            Method::DELETE,
            "/locks/escrows/e-1?session=a%20b",
            "invalid_parameter",
            "session",
        ),
        (
            Method::DELETE,
            "/locks/escrows/e-1?tab=x",
            "invalid_parameter",
            "tab",
        ),
        (
            Method::GET,
            "/locks?module=castles",
            "unknown_module",
            "module",
        ),
        (Method::GET, "/locks?module=", "invalid_parameter", "module"),
        (
            Method::GET,
            "/locks?record=e-1",
            "invalid_parameter",
            "record",
        ),
        (
            Method::GET,
            "/locks?record=castles/e-1",
            "unknown_module",
            "record",
        ),
        (Method::GET, "/locks?limit=0", "invalid_parameter", "limit"),
        (
            Method::GET,
            "/locks?limit=1001",
            "invalid_parameter",
            "limit",
        ),
        (
            Method::GET,
            "/locks?cursor=1-x",
            "invalid_parameter",
            "cursor",
        ),
        (Method::GET, "/locks?user=ann", "invalid_parameter", "user"),
    ] {
        let answer = send(b, &ann, method, path, &Value::Null).await;
        let named = answer.refused(400, code, path);
        assert_eq!(named.as_deref(), Some(field), "{path}");
    }
    // No token, no JSON, no object.
    for path in [
        "/locks",
        "/locks/escrows/e-1/renew",
        "/locks/escrows/e-1/request",
    ] {
        let url = b.url(path);
        let bare = b.client.post(&url).json(&json!({"session": "tab"}));
        crate::support::Answer::to(bare)
            .await
            .refused(401, "token_missing", path);
        let post = || b.client.post(&url).bearer_auth(ann.signed());
        let plain = post().body("session=tab");
        crate::support::Answer::to(plain)
            .await
            .refused(415, "unsupported_media_type", path);
        for body in [
            "",
            "[]",
            "{",
            "null",
            "\"tab\"",
            "[\"escrows\",\"e-1\",\"tab\",null]",
        ] {
            let sent = post().header("content-type", "application/json").body(body);
            crate::support::Answer::to(sent)
                .await
                .refused(400, "invalid_body", path);
        }
    }
    assert_eq!(everything(&mut connection).await, before);
}
