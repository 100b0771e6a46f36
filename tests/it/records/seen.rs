//! Who sees a record. For everybody else it does not exist.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Call, admin, agent, body, ids, two};
use crate::support::{Service, Token};

async fn is_nothing_to(service: &Service, who: &Token, id: &str) {
    let path = format!("escrows/{id}");
    let call = Call::by(service, who);
    for answer in [
        call.get(&path).await,
        call.patch(&path, &json!({"city": "x"})).await,
        call.put(&path, "archive").await,
        call.put(&path, "restore").await,
        call.delete(&path).await,
    ] {
        answer.refused(404, "unknown_record", &who.user);
    }
    let page = service.list("/records/escrows?archived=all", who).await;
    assert!(!ids(&page).contains(&id), "{}", who.user);
}

#[tokio::test]
async fn a_team_sees_its_records_and_everybody_those_of_none() {
    let [a, b] = two(&[]).await;
    let ann = agent("ann");
    for (id, team) in [("of-a", json!("a")), ("of-all", Value::Null)] {
        let fields = json!({"id": id, "address": "1", "teamId": team});
        body(&Call::by(&a, &ann).create("escrows", &fields).await, 201);
    }
    let (mate, other) = (agent("mate"), Token::user("zoe", &["z"]));
    let both = Token::user("both", &["z", "a"]);
    let foreign = agent("ann").of("c");
    for (who, seen) in [
        (&ann, 2),
        (&mate, 2),
        (&both, 2),
        (&other, 1),
        (&foreign, 0),
    ] {
        let page = b.list("/records/escrows", who).await;
        assert_eq!(ids(&page).len(), seen, "{}", who.user);
    }
    is_nothing_to(&b, &other, "of-a").await;
    for id in ["of-a", "of-all"] {
        is_nothing_to(&b, &foreign, id).await;
    }
    // An admin of another team sees no more than the team does.
    let far = Token {
        teams: vec!["z".to_owned()],
        ..admin(&["a"])
    };
    is_nothing_to(&b, &far, "of-a").await;
    let listed = b.list("/records/escrows?team=a", &ann).await;
    assert_eq!(ids(&listed), ["of-a"]);
    Call::by(&b, &other)
        .get("escrows?team=a")
        .await
        .refused(404, "unknown_team", "a");
}

#[tokio::test]
async fn nobody_but_an_admin_gives_records_to_teams_of_others() {
    let [a, _] = two(&[]).await;
    let ann = Token::user("ann", &["a", "b"]);
    let to = |team: &str| json!({"address": "1", "teamId": team});
    let refused = Call::by(&a, &ann).create("escrows", &to("z")).await;
    assert_eq!(
        refused.refused(403, "not_your_team", "z").as_deref(),
        Some("teamId")
    );
    let made = body(&Call::by(&a, &ann).create("escrows", &to("b")).await, 201);
    let path = format!("escrows/{}", made["id"].as_str().expect("an id"));
    let call = Call::by(&a, &ann);
    call.patch(&path, &json!({"teamId": "z"}))
        .await
        .refused(403, "not_your_team", "z");
    for team in [json!("a"), Value::Null, json!("b")] {
        assert_eq!(
            body(&call.patch(&path, &json!({"teamId": team})).await, 200)["teamId"],
            team
        );
    }
    let boss = Token {
        teams: vec!["b".to_owned()],
        ..admin(&["a"])
    };
    body(&Call::by(&a, &boss).create("escrows", &to("z")).await, 201);
    body(
        &Call::by(&a, &boss)
            .patch(&path, &json!({"teamId": "z"}))
            .await,
        200,
    );
    call.get(&path)
        .await
        .refused(404, "unknown_record", "moved");
    // Records of a user without a team belong to the whole brokerage.
    let lone = Token::user("lone", &[]);
    let made = body(
        &Call::by(&a, &lone)
            .create("escrows", &json!({"address": "1"}))
            .await,
        201,
    );
    assert_eq!(made["teamId"], Value::Null);
}

#[tokio::test]
async fn whoever_loses_a_record_learns_that_it_has_moved() {
    let [a, b] = two(&[]).await;
    let ann = Token::user("ann", &["a", "z"]);
    let mut loser = b.stream("/stream/team", &agent("bob")).await;
    let mut winner = b.stream("/stream/team", &Token::user("zoe", &["z"])).await;
    let fields = json!({"id": "x", "address": "1", "commission": 5});
    let created = body(&Call::by(&a, &ann).create("escrows", &fields).await, 201);
    assert_eq!(loser.next_logged().await.json()["data"]["address"], "1");
    let moved = body(
        &Call::by(&a, &ann)
            .patch("escrows/x", &json!({"teamId": "z"}))
            .await,
        200,
    );
    let received = loser.next_logged().await.json();
    assert_eq!(
        (&received["type"], &received["data"]),
        (&json!("escrow:deleted"), &json!({"reason": "moved"}))
    );
    assert_eq!(received["userId"], "ann");
    let received = winner.next_logged().await.json();
    assert_eq!(received["type"], "escrow:created");
    let mut masked = moved;
    masked["commission"] = json!("[REDACTED]");
    assert_eq!(
        (&received["data"], &created["version"]),
        (&masked, &json!(1))
    );
    is_nothing_to(&a, &agent("bob"), "x").await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_patch_with_a_version_and_a_fence() {
    let a = Service::with(&["--cors-origins=https://crm.example"]).await;
    let request = a
        .client
        .request(Method::OPTIONS, a.url("/records/escrows/e-1"));
    let request = request
        .header("Origin", "https://crm.example")
        .header("Access-Control-Request-Method", "PATCH")
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type,if-match,lock-fence",
        );
    let answer = crate::support::Answer::to(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    let request = a
        .get("/records/escrows", &agent("ann"))
        .header("Origin", "https://crm.example");
    let answer = crate::support::Answer::to(request).await;
    let exposed = answer
        .header("access-control-expose-headers")
        .to_ascii_lowercase();
    for header in ["etag", "location", "stream-position"] {
        assert!(exposed.contains(header), "{exposed}");
    }
}
