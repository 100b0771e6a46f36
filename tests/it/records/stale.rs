//! A write to an old version is refused, and the answer says what others did meanwhile.

use serde_json::{Value, json};

use super::{Call, agent, body, escrow, two};

#[tokio::test]
async fn a_stale_write_shows_the_record_and_what_collides() {
    let [a, b] = two(&[]).await;
    escrow(&a).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let now = json!({"city": "Ukiah", "zip": "95482"});
    let now = body(
        &Call::by(&b, &bob)
            .knowing(1)
            .patch("escrows/e-1", &now)
            .await,
        200,
    );
    for (wish, fields) in [
        (json!({"city": "Willits", "state": "CA"}), json!(["city"])),
        (
            json!({"city": "Ukiah", "zip": null}),
            json!(["city", "zip"]),
        ),
        (json!({"city": "Ukiah", "state": "CA"}), json!(["city"])),
        (json!({"state": "CA"}), json!([])),
        (json!({}), json!([])),
    ] {
        let answer = Call::by(&a, &ann)
            .knowing(1)
            .patch("escrows/e-1", &wish)
            .await;
        let named = answer.refused(409, "stale", &wish.to_string());
        assert_eq!(named.as_deref(), Some("If-Match"));
        let problem = answer.json();
        assert_eq!(
            (&problem["version"], &problem["fields"]),
            (&json!(1), &fields)
        );
        assert_eq!(problem["record"]["version"], 2);
        assert_eq!(
            problem["record"]["commission"], 11_850.25,
            "ann is its owner"
        );
    }
    assert_eq!(body(&Call::by(&b, &bob).get("escrows/e-1").await, 200), now);
}

#[tokio::test]
async fn what_does_not_collide_is_merged_when_asked_for() {
    let [a, b] = two(&[]).await;
    escrow(&a).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let first = json!({"city": "Ukiah", "purchasePrice": 400_000});
    Call::by(&b, &bob)
        .knowing(1)
        .patch("escrows/e-1", &first)
        .await;
    let call = Call::by(&a, &ann).knowing(1);
    // Two users that both raise the same number by one raise it once.
    let alike = json!({"state": "CA", "purchasePrice": 400_000});
    let alike = call.patch("escrows/e-1?merge=fields", &alike).await;
    alike.refused(409, "stale", "the same wish");
    assert_eq!(alike.json()["fields"], json!(["purchasePrice"]));
    let wish = json!({"state": "CA"});
    let merged = body(&call.patch("escrows/e-1?merge=fields", &wish).await, 200);
    assert_eq!(
        (&merged["city"], &merged["state"], &merged["version"]),
        (&json!("Ukiah"), &json!("CA"), &json!(3))
    );
    let collides = call
        .patch(
            "escrows/e-1?merge=fields",
            &json!({"city": "x", "zip": "1"}),
        )
        .await;
    collides.refused(409, "stale", "city");
    assert_eq!(collides.json()["fields"], json!(["city"]));
    // A version that never existed cannot be merged with.
    let ahead = Call::by(&a, &ann).knowing(99);
    let ahead = ahead
        .patch("escrows/e-1?merge=fields", &json!({"zip": "1"}))
        .await;
    ahead.refused(409, "stale", "ahead");
    let detail = ahead.json()["detail"].to_string();
    assert!(detail.contains("has not reached version 99"), "{detail}");
    assert_eq!(
        body(&Call::by(&a, &ann).get("escrows/e-1").await, 200),
        merged
    );
}

#[tokio::test]
async fn every_way_to_write_a_version_is_understood() {
    let [a, _] = two(&[]).await;
    escrow(&a).await;
    let ann = agent("ann");
    for (n, tag) in [
        "\"1\"",
        "2",
        "W/\"3\"",
        "*",
        "\"1\", \"5\"",
        "\"99\",W/\"6\"",
    ]
    .iter()
    .enumerate()
    {
        let call = Call::by(&a, &ann).with("If-Match", tag);
        let answer = call
            .patch("escrows/e-1", &json!({"zip": n.to_string()}))
            .await;
        assert_eq!(body(&answer, 200)["version"], n + 2, "{tag}");
    }
}

#[tokio::test]
async fn putting_away_and_removing_heed_the_version_too() {
    let [a, b] = two(&[]).await;
    escrow(&a).await;
    let ann = agent("ann");
    Call::by(&b, &ann)
        .patch("escrows/e-1", &json!({"city": "x"}))
        .await;
    for answer in [
        Call::by(&a, &ann)
            .knowing(1)
            .put("escrows/e-1", "archive")
            .await,
        Call::by(&a, &ann)
            .knowing(1)
            .put("escrows/e-1", "restore")
            .await,
        Call::by(&a, &ann).knowing(1).delete("escrows/e-1").await,
    ] {
        answer.refused(409, "stale", "old");
        assert_eq!(answer.json()["fields"], json!([]));
    }
    let away = Call::by(&a, &ann)
        .knowing(2)
        .put("escrows/e-1", "archive")
        .await;
    assert_eq!(body(&away, 200)["version"], 3);
    let gone = Call::by(&a, &ann).knowing(3).delete("escrows/e-1").await;
    assert_eq!((gone.status, Value::from(gone.text)), (204, json!("")));
}

#[tokio::test]
async fn a_field_changed_by_the_version_in_if_match_does_not_collide() {
    let [a, b] = two(&[]).await;
    escrow(&a).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    for (version, wish) in [(1, json!({"city": "Ukiah"})), (2, json!({"zip": "95482"}))] {
        let call = Call::by(&b, &bob).knowing(version);
        body(&call.patch("escrows/e-1", &wish).await, 200);
    }
    let call = Call::by(&a, &ann).knowing(2);
    let wish = json!({"city": "Willits"});
    let merged = call.patch("escrows/e-1?merge=fields", &wish).await;
    assert_eq!(body(&merged, 200)["city"], "Willits");
}
