//! Events that the CRM emits in its own transactions.

use serde_json::{Value, json};

use super::{Crm, agent};

#[tokio::test]
async fn an_event_that_the_crm_emits_is_published_when_its_transaction_commits() {
    let mut crm = Crm::new().await;
    let mut streams = [
        crm.a.stream("/stream", &agent("ann")).await,
        crm.b.stream("/stream", &agent("bob")).await,
    ];
    crm.run(
        r#"begin; select porchlight.emit('listing:sold', '{"team": "a"}', '{"n": 0}', broker => 'b'); rollback;
         select porchlight.emit('listing:sold', '{"team": "a"}', '{"price" : 1.50}', broker => 'b',
             module => 'listings', record_id => 'l-1', version => 7, user_id => 'cid');
         begin; set local porchlight.broker_id = 'b'; set local porchlight.user_id = 'dan';
         select porchlight.emit('note', '{"user": "ann"}'); commit;
         select porchlight.emit('note', '{"broker": "b", "user": "bob"}', '"text"');
         select porchlight.emit('note', '{"broker": true}', broker => 'b')"#,
    )
    .await;
    let received = crm.received(&mut streams).await;
    let sold = &received[0][0];
    assert_eq!(
        sold["data"].to_string(),
        r#"{"price":1.50}"#.replace("1.50", "1.5")
    );
    assert_eq!(
        (
            &sold["module"],
            &sold["recordId"],
            &sold["version"],
            &sold["userId"]
        ),
        (&json!("listings"), &json!("l-1"), &json!(7), &json!("cid"))
    );
    let in_short =
        |event: &Value| format!("{} {} {}", event["type"], event["data"], event["userId"]);
    let short: Vec<Vec<_>> = received
        .iter()
        .map(|all| all[1..].iter().map(in_short).collect())
        .collect();
    assert_eq!(short[0], ["\"note\" null \"dan\"", "\"note\" null null"]);
    assert_eq!(short[1], ["\"note\" \"text\" null", "\"note\" null null"]);
}

#[tokio::test]
async fn data_of_any_kind_becomes_json() {
    let mut crm = Crm::new().await;
    for (data, expected) in [
        ("'{\"a\": 1}'", json!({"a": 1})),
        ("'{\"a\": 1}'::text", json!({"a": 1})),
        ("json_build_object('a', 1)", json!({"a": 1})),
        ("jsonb_build_object('a', 1)", json!({"a": 1})),
        ("array[1, 2]", json!([1, 2])),
        ("7", json!(7)),
        ("null", json!(null)),
        ("null::jsonb", json!(null)),
    ] {
        crm.run(&format!(
            "select porchlight.emit('x', jsonb_build_object('broker', 'b'), {data})"
        ))
        .await;
        assert_eq!(
            crm.listed().await.last().unwrap()["data"],
            expected,
            "{data}"
        );
    }
    // Whatever the session prefers.
    crm.run(
        "set timezone = 'Asia/Tokyo'; set intervalstyle = 'postgres'; set extra_float_digits = 0;
        select porchlight.emit('x', '{\"broker\": \"b\"}', row(1 / 3.0::float8, '1 day'::interval,
            '2020-01-01 00:00Z'::timestamptz)); reset all",
    )
    .await;
    let received = crm.listed().await;
    assert_eq!(
        received.last().unwrap()["data"],
        json!({"f1": 0.333_333_333_333_333_3, "f2": "P1D", "f3": "2020-01-01T00:00:00+00:00"})
    );
    let named =
        "select porchlight.emit('x', '{\"broker\": \"b\"}', changes => jsonb_build_object('a', 1))";
    crm.run(named).await;
    assert_eq!(
        crm.listed().await.last().unwrap()["changes"],
        json!({"a": 1})
    );
    crm.run("select porchlight.emit('x', '{\"broker\": \"b\"}', 'no JSON')")
        .await;
    let count = crm.listed().await.len();
    assert_eq!((count, crm.reasons().await.len()), (10, 1));
}

#[tokio::test]
async fn what_cannot_be_published_is_set_aside_with_the_reason_and_the_others_go_on() {
    let mut crm = Crm::with(&["--signals=typing,on-call"]).await;
    let invalid = [
        ("'x', '{\"team\": \"a\"}'", "no broker"),
        ("'x', '{\"team\": \"a\"}', broker => 'b c'", "its broker"),
        ("'x', '{\"everyone\": 1}', broker => 'b'", "no audience"),
        ("'x', '{\"team\": \"a b\"}', broker => 'b'", "its audience"),
        ("'x', null, broker => 'b'", "no audience"),
        ("'x', '{\"broker\": false}', broker => 'b'", "no audience"),
        ("'x', '[\"broker\"]', broker => 'b'", "no audience"),
        ("null, '{\"broker\": \"b\"}'", "no type"),
        (
            "'user:on-call', '{\"broker\": \"b\"}'",
            "reserved for signals",
        ),
        ("'x y', '{\"broker\": \"b\"}'", "its type"),
        (
            "'x', '{\"broker\": \"b\"}', record_id => 'r'",
            "needs the module",
        ),
        (
            "'x', '{\"broker\": \"b\"}', module => 'm', record_id => 'r/s'",
            "its record",
        ),
        ("'x', '{\"broker\": \"b\"}', version => -1", "version"),
    ];
    for (arguments, _) in invalid {
        crm.run(&format!("select porchlight.emit({arguments})"))
            .await;
        crm.run("select porchlight.emit('good', '{\"broker\": \"b\"}')")
            .await;
    }
    assert_eq!(crm.listed().await.len(), invalid.len());
    let reasons = crm.reasons().await;
    assert_eq!(reasons.len(), invalid.len());
    for (reason, (arguments, word)) in reasons.iter().zip(invalid) {
        assert!(reason.contains(word), "{arguments}: {reason}");
    }
    let mut counted = 0.0;
    for instance in [&crm.a, &crm.b] {
        counted += instance.metric("porchlight_relay_poisoned_total").await;
    }
    assert_eq!(counted, 13.0);
}

#[tokio::test]
async fn a_reserved_type_fails_at_once_and_says_why_in_sql_and_over_http_alike() {
    let crm = Crm::new().await;
    let mut sql = crm.a.database.connect().await;
    for (name, is_reserved) in [
        ("hb", true),
        ("error", true),
        ("open", true),
        ("message", true),
        ("stream:closing", true),
        ("presence:snapshot", true),
        ("locks:snapshot", true),
        ("ai:task:completed", true),
        ("notification:info", true),
        ("user:presence:online", true),
        ("user:viewing:escrow", true),
        ("user:editing:escrow", true),
        ("user:typing", true),
        ("user:stopped_typing", true),
        ("escrow:locked", true),
        ("escrow:unlocked", true),
        ("boat:lock_requested", true),
        ("lock_available", true),
        ("system:maintenance", false),
        ("escrow:updated", false),
        ("escrow:relocked", false),
        ("escrow:locked:twice", false),
        ("user:created", false),
        ("user:typing:fast", false),
        ("ai:tasks", false),
        ("notifications:sent", false),
    ] {
        let emitted = sqlx::query("select porchlight.emit($1, '{\"broker\": \"b\"}')")
            .bind(name)
            .execute(&mut sql)
            .await;
        let refusal = emitted.err().map(|error| {
            let error = error.into_database_error().expect("a refusal");
            (error.code().map(String::from), error.message().to_owned())
        });
        let words = format!("the type {name} is reserved: only Porchlight itself publishes it");
        let expected = is_reserved.then(|| (Some("22023".to_owned()), words));
        assert_eq!(refusal, expected, "{name}");
        let body = json!({"type": name, "audience": {"broker": true}});
        let answer = crm.b.post("b", &body).await;
        let status = if is_reserved { 400 } else { 201 };
        assert_eq!(answer.status, status, "{name}");
        if is_reserved {
            let problem = answer.json();
            assert_eq!(problem["code"], "reserved_type", "{problem}");
        }
    }
}

#[tokio::test]
async fn a_signal_of_a_deployments_own_is_reserved_there() {
    let crm = Crm::with(&["--signals=typing,on-call"]).await;
    for name in ["user:on-call", "user:stopped_on-call"] {
        let body = json!({"type": name, "audience": {"broker": true}});
        let problem = crm.a.post("b", &body).await.json();
        assert_eq!(problem["code"], "reserved_type", "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("POST /signals"),
            "{problem}"
        );
    }
}
