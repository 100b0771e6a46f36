//! Invalid heartbeats, and requests that are not allowed.

use serde_json::{Value, json};

use super::{QUICK, heartbeat, is_here, people};
use crate::support::{Answer, Service, Token};

#[tokio::test]
async fn an_invalid_heartbeat_is_refused_with_its_field_and_changes_nothing() {
    let service = Service::with(QUICK).await;
    let ann = Token::user("ann", &["t"]);
    let long = "x".repeat(65);
    let record = |module: &str, id: &str| json!({"module": module, "recordId": id});
    let cases: &[(Value, &str, &str)] = &[
        (json!({}), "invalid_body", "session"),
        (json!({"session": ""}), "invalid_body", "session"),
        (json!({"session": long}), "invalid_body", "session"),
        (json!({"session": 7}), "invalid_body", "session"),
        (
            json!({"session": "s", "status": "offline"}),
            "invalid_body",
            "status",
        ),
        (
            json!({"session": "s", "status": null}),
            "invalid_body",
            "status",
        ),
        (json!({"session": "s", "mood": 1}), "invalid_body", "mood"),
        (
            json!({"session": "s", "viewing": "escrows/1"}),
            "invalid_body",
            "viewing",
        ),
        (
            json!({"session": "s", "viewing": {}}),
            "invalid_body",
            "viewing.module",
        ),
        (
            json!({"session": "s", "viewing": record("boats", "1")}),
            "unknown_module",
            "viewing.module",
        ),
        (
            json!({"session": "s", "editing": record("boats", "1")}),
            "unknown_module",
            "editing.module",
        ),
        (
            json!({"session": "s", "editing": record("escrows", "a b")}),
            "invalid_body",
            "editing.recordId",
        ),
        (
            json!({"session": "s", "editing": [1]}),
            "invalid_body",
            "editing",
        ),
    ];
    for (body, code, field) in cases {
        let answer = heartbeat(&service, &ann, body.clone()).await;
        let named = answer.refused(400, code, &body.to_string());
        assert_eq!(named.as_deref(), Some(*field), "{body}");
    }
    assert_eq!(people(&service, &ann).await, []);
}

#[tokio::test]
async fn a_user_has_at_most_64_sessions() {
    let service = Service::with(QUICK).await;
    let ann = Token::user("ann", &["t"]);
    for n in 0..64 {
        let answer = heartbeat(&service, &ann, json!({"session": format!("s-{n}")})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let one_more = heartbeat(&service, &ann, json!({"session": "s-64"})).await;
    one_more.refused(409, "too_many_sessions", "a 65th session");
}

#[tokio::test]
async fn a_record_of_another_team_is_absent() {
    let service = Service::with(QUICK).await;
    let (ann, eve) = (Token::user("ann", &["t"]), Token::user("eve", &["else"]));
    service
        .publish(
            &json!({"type": "escrow:created", "audience": {"team": "t"}, "module": "escrows",
            "recordId": "e-1", "data": {}}),
        )
        .await;
    let viewing = json!({"session": "s", "viewing": {"module": "escrows", "recordId": "e-1"}});
    is_here(&service, &ann, viewing.clone()).await;
    let refused = heartbeat(&service, &eve, viewing).await;
    refused.refused(404, "unknown_record", "a foreign record");
    let asked = Answer::to(service.get("/presence?record=escrows/e-1", &eve)).await;
    let field = asked.refused(404, "unknown_record", "a foreign record");
    assert_eq!(field.as_deref(), Some("record"));
    // Eve sees that Ann is here, and not where.
    let seen = service.list("/presence", &eve).await;
    assert_eq!(seen["users"][0]["viewing"], json!([]));
    let seen = service.list("/presence", &ann).await;
    let there = json!([{"module": "escrows", "recordId": "e-1"}]);
    assert_eq!(seen["users"][0]["viewing"], there);
    assert_eq!(seen["users"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_by_name() {
    let service = Service::with(QUICK).await;
    let ann = Token::user("ann", &["t"]);
    for (query, status, code, field) in [
        ("record=escrows", 400, "invalid_parameter", "record"),
        ("record=boats/1", 400, "unknown_module", "record"),
        ("record=", 400, "invalid_parameter", "record"),
        ("team=a%20b", 400, "invalid_parameter", "team"),
        ("team=else", 404, "unknown_team", "team"),
        ("user=ann", 400, "invalid_parameter", "user"),
        ("limit=0", 400, "invalid_parameter", "limit"),
        ("limit=1001", 400, "invalid_parameter", "limit"),
        ("cursor=", 400, "invalid_parameter", "cursor"),
        ("team=t&team=t", 400, "invalid_parameter", "team"),
    ] {
        let answer = Answer::to(service.get(&format!("/presence?{query}"), &ann)).await;
        let named = answer.refused(status, code, query);
        assert_eq!(named.as_deref(), Some(field), "{query}");
    }
}
