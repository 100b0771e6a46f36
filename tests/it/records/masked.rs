//! Private fields reach the owner and admins, and nobody else by any path.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Call, admin, agent, body, two};
use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Process};

/// A value that nobody else may ever be sent.
const CANARY: &str = "CANARY-7731";

/// A lead of ann's, with private notes.
async fn lead(a: &crate::support::Service) {
    let fields = json!({"id": "x", "name": "Bob", "notes": CANARY, "source": "web"});
    body(
        &Call::by(a, &agent("ann")).create("leads", &fields).await,
        201,
    );
}

#[tokio::test]
async fn the_owner_and_admins_see_it_and_nobody_else_by_any_path() {
    let [a, b] = two(&[]).await;
    lead(&a).await;
    let (ann, bob, boss) = (agent("ann"), agent("bob"), admin(&["a"]));
    for (who, sees) in [(&ann, true), (&boss, true), (&bob, false)] {
        let call = Call::by(&b, who);
        let listed = call.get("leads").await;
        let one = call.get("leads/x").await;
        let stale = Call::by(&b, who)
            .knowing(99)
            .patch("leads/x", &json!({"source": "y"}))
            .await;
        let stale_end = Call::by(&b, who).knowing(99).delete("leads/x").await;
        let changed = call.patch("leads/x", &json!({"phone": who.user})).await;
        let away = call.put("leads/x", "archive").await;
        let back = call.put("leads/x", "restore").await;
        for answer in [&listed, &one, &stale, &stale_end, &changed, &away, &back] {
            assert_eq!(
                answer.text.contains(CANARY),
                sees,
                "{}: {}",
                who.user,
                answer.text
            );
            assert_eq!(
                answer.text.contains("[REDACTED]"),
                !sees,
                "{}: {}",
                who.user,
                answer.text
            );
        }
        assert_eq!(
            [listed.status, one.status, stale.status, changed.status],
            [200, 200, 409, 200]
        );
    }
}

#[tokio::test]
async fn it_cannot_be_found_by_sorting_searching_or_paging() {
    let [a, _] = two(&[]).await;
    lead(&a).await;
    for who in [agent("ann"), agent("bob"), admin(&["a"])] {
        for query in ["q=CANARY", "q=canary-7731", "q=Bob%20CANARY", "q=REDACTED"] {
            let page = a.list(&format!("/records/leads?{query}"), &who).await;
            assert_eq!(page["records"], json!([]), "{} {query}", who.user);
        }
        assert_eq!(
            super::ids(&a.list("/records/leads?q=bob%20WEB", &who).await),
            ["x"]
        );
        for sort in ["notes", "-notes"] {
            let answer = Call::by(&a, &who).get(&format!("leads?sort={sort}")).await;
            answer.refused(400, "invalid_parameter", sort);
        }
        Call::by(&a, &who)
            .get("leads?notes=x")
            .await
            .refused(400, "invalid_parameter", "notes");
    }
}

#[tokio::test]
async fn who_does_not_see_it_does_not_write_it() {
    let [a, _] = two(&[]).await;
    let fields = json!({"id": "x", "address": "1", "commission": 12});
    body(
        &Call::by(&a, &agent("ann")).create("escrows", &fields).await,
        201,
    );
    let bob = agent("bob");
    for value in [
        json!(1),
        json!(null),
        json!("[REDACTED]"),
        json!(12),
        json!({}),
    ] {
        let wish = json!({"city": "x", "commission": value});
        let answer = Call::by(&a, &bob).patch("escrows/x", &wish).await;
        let named = answer.refused(403, "private_field", &value.to_string());
        assert_eq!(named.as_deref(), Some("commission"));
    }
    let answer = Call::by(&a, &bob)
        .patch("escrows/x", &json!({"ownerId": "bob"}))
        .await;
    assert_eq!(
        answer.refused(403, "not_owner", "bob").as_deref(),
        Some("ownerId")
    );
    // The same owner again is no change.
    body(
        &Call::by(&a, &bob)
            .patch("escrows/x", &json!({"ownerId": "ann"}))
            .await,
        200,
    );
    let seen = body(
        &Call::by(&a, &admin(&["a"]))
            .patch("escrows/x", &json!({"commission": 13}))
            .await,
        200,
    );
    assert_eq!(
        (&seen["commission"], &seen["city"]),
        (&json!(13), &Value::Null)
    );
    // The owner gives it away, and sees it no more.
    let given = Call::by(&a, &agent("ann"))
        .patch("escrows/x", &json!({"ownerId": "bob"}))
        .await;
    assert_eq!(body(&given, 200)["commission"], "[REDACTED]");
    let owned = Call::by(&a, &bob)
        .patch("escrows/x", &json!({"commission": 14}))
        .await;
    assert_eq!(body(&owned, 200)["commission"], 14);
    // An empty value is masked like any other.
    body(
        &Call::by(&a, &bob)
            .patch("escrows/x", &json!({"commission": null}))
            .await,
        200,
    );
    let masked = Call::by(&a, &agent("ann")).get("escrows/x").await;
    assert_eq!(body(&masked, 200)["commission"], "[REDACTED]");
}

#[tokio::test]
async fn whoever_makes_a_record_for_another_writes_it_once() {
    let [a, _] = two(&[]).await;
    let fields = json!({"id": "x", "name": "n", "notes": "for you", "ownerId": "bob"});
    let made = body(
        &Call::by(&a, &agent("ann")).create("clients", &fields).await,
        201,
    );
    assert_eq!(made["notes"], "[REDACTED]");
    let seen = body(&Call::by(&a, &agent("bob")).get("clients/x").await, 200);
    assert_eq!(seen["notes"], "for you");
    let again = Call::by(&a, &agent("ann"))
        .patch("clients/x", &json!({"notes": "x"}))
        .await;
    again.refused(403, "private_field", "notes");
    // A new owner whose page still shows the mask does not overwrite the value with it.
    let saved = Call::by(&a, &agent("bob"))
        .patch("clients/x", &json!({"name": "m", "notes": "[REDACTED]"}))
        .await;
    let named = saved.refused(400, "invalid_field", "a mask");
    assert_eq!(named.as_deref(), Some("notes"));
}

#[tokio::test]
async fn what_only_the_configuration_calls_private_is_masked_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("modules.toml");
    let text = "[[module]]\nname = 'escrows'\nsingular = 'escrow'\nprivate = ['city', 'buyerName']";
    std::fs::write(&file, text).expect("a file");
    let flag = format!("--modules={}", file.display());
    let a = crate::support::Service::with(&[&flag]).await;
    let fields = json!({"id": "x", "address": "1", "city": CANARY, "commission": CANARY.len()});
    body(
        &Call::by(&a, &agent("ann")).create("escrows", &fields).await,
        201,
    );
    let bob = agent("bob");
    let seen = body(&Call::by(&a, &bob).get("escrows/x").await, 200);
    for field in ["city", "buyerName", "commission"] {
        assert_eq!(seen[field], "[REDACTED]");
    }
    let seen = body(&Call::by(&a, &agent("ann")).get("escrows/x").await, 200);
    assert_eq!(
        (&seen["city"], &seen["buyerName"]),
        (&json!(CANARY), &Value::Null)
    );
    assert_eq!(
        a.list("/records/escrows?q=canary", &bob).await["records"],
        json!([])
    );
    Call::by(&a, &bob)
        .get("escrows?sort=city")
        .await
        .refused(400, "invalid_parameter", "city");
    Call::by(&a, &bob)
        .get("leads")
        .await
        .refused(404, "no_records", "not configured");
}

#[tokio::test]
async fn a_table_that_is_watched_no_more_keeps_its_secrets() {
    let [a, _] = two(&[]).await;
    let mut sql = a.database.connect().await;
    lead(&a).await;
    super::run(&mut sql, "select porchlight.unwatch('porchlight.leads')").await;
    let seen = Call::by(&a, &agent("bob")).get("leads/x").await;
    assert_eq!(body(&seen, 200)["notes"], "[REDACTED]");
    // A table that is watched again has new private columns at once.
    super::run(
        &mut sql,
        "select porchlight.watch('porchlight.leads', module => 'leads',
        broker_column => 'broker_id', team_column => 'team_id', owner_column => 'owner_id',
        private_columns => '{notes,source}')",
    )
    .await;
    let seen = body(&Call::by(&a, &agent("bob")).get("leads/x").await, 200);
    assert_eq!(
        (&seen["notes"], &seen["source"]),
        (&json!("[REDACTED]"), &json!("[REDACTED]"))
    );
}

#[tokio::test]
async fn nothing_private_is_logged_whatever_is_refused() {
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_LOG", "trace")];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let client = reqwest::Client::new();
    let send = async |method: Method, path: &str, body: Value| {
        let request = client.request(method, process.url(&format!("/records/{path}")));
        let request = request.bearer_auth(agent("ann").signed()).json(&body);
        Answer::to(request.header("If-Match", "\"1\"")).await.status
    };
    let mut sql = database.connect().await;
    // A rule that the service does not know.
    super::run(
        &mut sql,
        "alter table porchlight.leads add constraint no_curse check (source <> 'cursed')",
    )
    .await;
    for (method, path, body, status) in [
        (
            Method::POST,
            "leads",
            json!({"id": "x", "name": "n", "notes": CANARY}),
            201,
        ),
        (
            Method::POST,
            "leads",
            json!({"id": "x", "name": "n", "notes": CANARY}),
            409,
        ),
        (
            Method::POST,
            "leads",
            json!({"name": "n", "notes": CANARY, "email": "x"}),
            400,
        ),
        (
            Method::POST,
            "leads",
            json!({"name": "n", "notes": CANARY, "source": "cursed"}),
            400,
        ),
        (
            Method::PATCH,
            "leads/x",
            json!({"notes": format!("{CANARY} {CANARY}")}),
            200,
        ),
        (Method::PATCH, "leads/x", json!({"notes": [CANARY]}), 400),
        (Method::PATCH, "leads/x", json!({"notes": CANARY}), 409),
    ] {
        assert_eq!(send(method, path, body.clone()).await, status, "{body}");
    }
    let log = process.log.lock().unwrap().clone();
    assert!(log.contains("/records/leads"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}
