//! Invalid events: the answer names the code and the field.

use serde_json::json;

use super::{json_body, with, works_and_holds_nothing};
use crate::support::{Answer, Service};

/// A code, a field, and a body that is refused with both.
type Refusal = (&'static str, &'static str, String);

const INVALID: &str = "invalid_body";

fn of_type(value: &str) -> String {
    format!(r#"{{"audience":{{"broker":true}},"type":{value}}}"#)
}

fn event_to(audience: &str) -> String {
    format!(r#"{{"type":"t","audience":{audience}}}"#)
}

fn many(event: &str) -> String {
    format!(r#"{{"events":[{},{event}]}}"#, with("version", "1"))
}

fn long() -> String {
    format!("{:?}", "x".repeat(65))
}

fn no_objects() -> Vec<Refusal> {
    vec![
        (INVALID, "", String::new()),
        (INVALID, "", " ".into()),
        (INVALID, "", "{".into()),
        (INVALID, "", "null".into()),
        (INVALID, "", "[]".into()),
        (INVALID, "", "7".into()),
        (INVALID, "", r#""text""#.into()),
        (INVALID, "", "nonsense".into()),
        (INVALID, "", format!("{} x", with("version", "1"))),
        (INVALID, "", format!("{0}{0}", with("version", "1"))),
        (INVALID, "", with("version", "1")[..20].into()),
        (INVALID, "", "\u{feff}{}".into()),
        // Not an object, though it has the parts of one.
        (
            INVALID,
            "",
            r#"[[{"type":"t","audience":{"broker":true}}]]"#.into(),
        ),
        (
            INVALID,
            "",
            r#"["t",{"broker":true},null,null,null,null,null,null]"#.into(),
        ),
        (
            INVALID,
            "events[1]",
            many(r#"["t",{"broker":true},null,null,null,null,null,null]"#),
        ),
    ]
}

fn wrong_types_and_audiences() -> Vec<Refusal> {
    let reserved = "reserved_type";
    vec![
        (INVALID, "type", "{}".into()),
        (INVALID, "type", r#"{"audience":{"broker":true}}"#.into()),
        (INVALID, "audience", r#"{"type":"t"}"#.into()),
        (INVALID, "events[1].audience", many(r#"{"type":"t"}"#)),
        (INVALID, "type", of_type("7")),
        (INVALID, "type", of_type("null")),
        (INVALID, "type", of_type(r#""""#)),
        (INVALID, "type", of_type(r#""a b""#)),
        (INVALID, "type", of_type(r#""a\u0000b""#)),
        (INVALID, "type", of_type(r#""\ud800""#)),
        (INVALID, "type", of_type(&long())),
        (
            INVALID,
            "type",
            r#"{"type":"t","type":"t","audience":{"broker":true}}"#.into(),
        ),
        (reserved, "type", of_type(r#""hb""#)),
        (reserved, "type", of_type(r#""error""#)),
        (reserved, "type", of_type(r#""stream:ready""#)),
        (reserved, "events[1].type", many(&of_type(r#""open""#))),
        (reserved, "type", of_type(r#""ai:task:completed""#)),
        (reserved, "type", of_type(r#""notification:info""#)),
        (reserved, "type", of_type(r#""escrow:unlocked""#)),
        (reserved, "type", of_type(r#""lock_requested""#)),
        (reserved, "type", of_type(r#""user:presence:online""#)),
        (reserved, "type", of_type(r#""user:viewing:escrow""#)),
        (reserved, "type", of_type(r#""user:typing""#)),
        (
            reserved,
            "events[1].type",
            many(&of_type(r#""user:stopped_typing""#)),
        ),
        (INVALID, "audience", event_to("null")),
        (INVALID, "audience", event_to("{}")),
        (INVALID, "audience", event_to(r#""broker""#)),
        (INVALID, "audience", event_to(r#"{"user":"u","team":"a"}"#)),
        (INVALID, "audience", event_to(r#"["user","u"]"#)),
        (INVALID, "audience", event_to(r#"{"everyone":true}"#)),
        (INVALID, "audience.broker", event_to(r#"{"broker":false}"#)),
        (INVALID, "audience.broker", event_to(r#"{"broker":"b"}"#)),
        (INVALID, "audience.user", event_to(r#"{"user":""}"#)),
        (INVALID, "audience.team", event_to(r#"{"team":["a"]}"#)),
    ]
}

fn wrong_fields() -> Vec<Refusal> {
    vec![
        (INVALID, "colour", with("colour", "1")),
        (INVALID, "record_id", with("record_id", r#""x""#)),
        (INVALID, "events", with("events", "null")),
        (INVALID, "events[1].colour", many(&with("colour", "1"))),
        (INVALID, "colour", r#"{"events":[],"colour":1}"#.into()),
        (INVALID, "module", with("module", "7")),
        (INVALID, "module", with("module", r#""a/b""#)),
        (INVALID, "recordId", with("recordId", &long())),
        ("module_missing", "module", with("recordId", r#""e-1""#)),
        (
            "module_missing",
            "events[1].module",
            many(&with("recordId", r#""e-1""#)),
        ),
        (INVALID, "userId", with("userId", "{}")),
        (INVALID, "version", with("version", r#""1""#)),
        (INVALID, "version", with("version", "1.5")),
        (INVALID, "version", with("version", "-1")),
        (INVALID, "version", with("version", "9223372036854775808")),
        (INVALID, "events[1].version", many(&with("version", "-1"))),
    ]
}

fn wrong_sizes() -> Vec<Refusal> {
    let huge = format!("{:?}", "x".repeat(65_536));
    let batch = |n| json!({"events": vec![json!({"type": "t", "audience": {"broker": true}}); n]});
    let nested = |n| with("data", &format!("{}{}", "[".repeat(n), "]".repeat(n)));
    vec![
        (INVALID, "data", nested(101)),
        (INVALID, "data", nested(10_000)),
        (
            INVALID,
            "changes",
            nested(30_000).replace("data", "changes"),
        ),
        (INVALID, "events[1].data", many(&nested(5_000))),
        (INVALID, "", "[".repeat(200_000)),
        (INVALID, "a", r#"{"a":"#.repeat(50_000)),
        (INVALID, "data", with("data", "\"\n\"")),
        (INVALID, "data", with("data", "01")),
        (INVALID, "data", with("data", "NaN")),
        ("invalid_batch", "events", batch(0).to_string()),
        ("invalid_batch", "events", batch(1_001).to_string()),
        (INVALID, "events", r#"{"events":{}}"#.into()),
        (INVALID, "events", r#"{"events":7}"#.into()),
        (INVALID, "events[0]", r#"{"events":[7]}"#.into()),
        ("event_too_large", "data", with("data", &huge)),
        (
            "event_too_large",
            "events[1].data",
            many(&with("data", &huge)),
        ),
    ]
}

async fn check(refusals: Vec<Refusal>) {
    let service = Service::start().await;
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
async fn what_is_no_object_is_refused() {
    check(no_objects()).await;
}

#[tokio::test]
async fn wrong_types_and_audiences_are_refused_by_name() {
    check(wrong_types_and_audiences()).await;
}

#[tokio::test]
async fn wrong_fields_are_refused_by_name() {
    check(wrong_fields()).await;
}

#[tokio::test]
async fn too_few_too_many_too_deep_and_too_large_are_refused() {
    check(wrong_sizes()).await;
}
