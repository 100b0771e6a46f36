//! Requests about records, accepted and refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::{MODULES, agent};
use super::setup::{NOTES, Setup, check, private, unhexed};
use crate::support::Token;

/// Lists and records, whole and in parts.
pub async fn check_reading(setup: &Setup, who: &Token, sees: bool, module: &str) {
    let is_near = who.broker == "b" && who.teams == ["a"];
    for (path, is_shown) in [
        ("r-1", is_near),
        ("away", is_near),
        ("moved", who.broker == "b"),
        ("?archived=all", who.broker == "b"),
        ("?archived=true", is_near),
        ("?archived=all&sort=-updatedAt&limit=1", who.broker == "b"),
        ("?q=moved&owner=ann", who.broker == "b"),
    ] {
        let path = format!("/records/{module}/{path}").replace("/?", "?");
        let answer = setup.get(who, &path).await;
        let what = format!("{} {path}", who.user);
        assert_eq!(
            answer.text.contains("[REDACTED]"),
            is_shown && !sees,
            "{what}: {}",
            answer.text
        );
        check(&answer.text, is_shown && sees, &what);
        let next = match answer.status {
            200 => answer.json()["next"].clone(),
            _ => Value::Null,
        };
        // More than one record is theirs.
        let has_more = is_near && path.contains("limit=1");
        assert_eq!(next.is_string(), has_more, "{what}: {next}");
        if let Some(next) = next.as_str() {
            check(&unhexed(next), false, &what);
        }
    }
    let nothing = setup
        .get(who, &format!("/records/{module}?archived=all&q=qwertz"))
        .await;
    for guess in [NOTES, "7731731", "93.71", "REDACTED"] {
        let found = setup
            .get(who, &format!("/records/{module}?archived=all&q={guess}"))
            .await;
        assert_eq!(found.text, nothing.text, "{} finds {guess}", who.user);
    }
    let (field, _, _) = private(module);
    for bad in [
        format!("sort={field}"),
        format!("{field}=1"),
        format!("cursor={NOTES}"),
    ] {
        let answer = setup.get(who, &format!("/records/{module}?{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text);
    }
}

/// Changes, refused and accepted.
pub async fn check_writing(setup: &Setup, who: &Token, sees: bool, module: &str) {
    let (field, canary, bad) = private(module);
    let (_, _, required) = MODULES
        .into_iter()
        .find(|(name, _, _)| *name == module)
        .expect("it");
    let of_one = format!("/records/{module}/r-1");
    let merging = format!("{of_one}?merge=fields");
    let (away, new) = (format!("{of_one}/archive"), format!("/records/{module}"));
    let is_near = who.broker == "b" && who.teams == ["a"];
    for (method, path, fields, (version, status)) in [
        (Method::PATCH, &of_one, json!({required: "r-1"}), ("1", 409)),
        (Method::PATCH, &of_one, json!({required: "r-1"}), ("*", 200)),
        (
            Method::PATCH,
            &merging,
            json!({required: "r-1"}),
            ("1", 200),
        ),
        (Method::PATCH, &merging, json!({required: "2"}), ("99", 409)),
        (Method::POST, &away, Value::Null, ("1", 409)),
        (Method::DELETE, &of_one, Value::Null, ("1", 409)),
    ] {
        let what = format!("{} {method} {path} {version}", who.user);
        let answer = setup.ask(who, method, path, &fields, version).await;
        let expected = if is_near { status } else { 404 };
        assert_eq!(answer.status, expected, "{what}: {}", answer.text);
        check(&answer.text, is_near && sees, &what);
    }
    // The answer names the wrong field and does not repeat its value.
    for (method, path, fields) in [
        (Method::PATCH, &of_one, json!({field: bad})),
        (Method::POST, &new, json!({required: "x", field: bad})),
        (
            Method::POST,
            &new,
            json!({"id": "r-1", required: "x", field: canary}),
        ),
        (
            Method::POST,
            &new,
            json!({"id": "x", "colour": canary, required: "x"}),
        ),
    ] {
        if who.broker == "b" {
            let answer = setup.ask(who, method, path, &fields, "*").await;
            assert!((400..500).contains(&answer.status), "{}", answer.text);
            check(&answer.text, false, &format!("{} {fields}", who.user));
        }
    }
    if !sees {
        let guess = async |value: &Value| {
            let fields = json!({field: value});
            let answer = setup.ask(who, Method::PATCH, &of_one, &fields, "*");
            answer.await.text
        };
        assert_eq!(
            guess(&canary).await,
            guess(&json!("other")).await,
            "{}",
            who.user
        );
    }
}

/// The database checks rules over two fields. Its refusal contains the whole row.
pub async fn check_rules(setup: &Setup) {
    for (module, first, then) in [
        (
            "escrows",
            json!({"openDate": "2025-02-02"}),
            json!({"closeDate": "2025-02-01"}),
        ),
        (
            "listings",
            json!({"listedOn": "2025-02-02"}),
            json!({"soldOn": "2025-02-01"}),
        ),
        ("clients", json!({"budgetMin": 2}), json!({"budgetMax": 1})),
    ] {
        let path = format!("/records/{module}/r-1");
        for (fields, status) in [(first, 200), (then, 400)] {
            let bob = agent("bob");
            let answer = setup.ask(&bob, Method::PATCH, &path, &fields, "*").await;
            assert_eq!(answer.status, status, "{}", answer.text);
            check(&answer.text, false, &path);
        }
    }
}

/// While Ann has it locked, all other writers learn that she has it and nothing else.
pub async fn check_locked(setup: &Setup, module: &str) {
    let lock = json!({"module": module, "recordId": "r-1", "session": "tab"});
    let locked = setup
        .ask(&agent("ann"), Method::POST, "/locks", &lock, "*")
        .await;
    assert_eq!(locked.status, 201, "{}", locked.text);
    let path = format!("/records/{module}/r-1");
    for (method, fields) in [(Method::PATCH, json!({})), (Method::DELETE, Value::Null)] {
        let answer = setup.ask(&agent("bob"), method, &path, &fields, "*").await;
        assert_eq!(answer.status, 423, "{}", answer.text);
        check(&answer.text, false, &path);
    }
    let path = format!("/locks/{module}/r-1?session=tab");
    setup
        .ask(&agent("ann"), Method::DELETE, &path, &Value::Null, "*")
        .await;
}
