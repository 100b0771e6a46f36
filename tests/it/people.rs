//! What users are called, as their tokens say.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::forge::honest;
use crate::support::instances::two;
use crate::support::sql::{fail_inserts, run, until_counted, until_failed};
use crate::support::{Answer, Service, Token, eventually};

/// Publishes something that a user did, and gives the activity of it.
async fn activity_of(service: &Service, user: &str) -> Value {
    let event = json!({"type": "listing:sold", "audience": {"team": "a"}, "module": "listings",
        "recordId": "l-1", "userId": user});
    service.publish(&event).await;
    let page = service
        .list("/activity?limit=1", &Token::user("eve", &["a"]))
        .await;
    page["activity"][0].clone()
}

#[tokio::test]
async fn a_name_in_a_token_is_known_on_every_instance_from_then_on() {
    let [a, b] = &two(&[]).await;
    assert_eq!(activity_of(b, "josh").await["userName"], "josh");
    for name in ["Josh", "Josh Lee"] {
        // Any request will do.
        a.list("/events", &Token::user("josh", &["a"]).called(name))
            .await;
        eventually(name, async || {
            let received = activity_of(b, "josh").await;
            (received["userName"] == name).then_some(())
        })
        .await;
    }
    let received = activity_of(a, "josh").await;
    assert_eq!(received["text"], "Josh Lee sold listing l-1");
    // A token without a name changes nothing, and names of another broker are not known here.
    a.list("/events", &Token::user("josh", &["a"])).await;
    a.list(
        "/events",
        &Token::user("josh", &["a"]).called("Eve").of("c"),
    )
    .await;
    a.list("/events", &Token::user("marker", &["a"]).called("Marker"))
        .await;
    eventually("the marker is known", async || {
        (activity_of(b, "marker").await["userName"] == "Marker").then_some(())
    })
    .await;
    assert_eq!(activity_of(b, "josh").await["userName"], "Josh Lee");
}

#[tokio::test]
async fn a_name_that_could_not_be_stored_at_once_is_stored_later() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    fail_inserts(&mut sql, "porchlight.people").await;
    let josh = Token::user("josh", &["a"]).called("Josh");
    service.list("/events", &josh).await;
    until_failed(&mut sql).await;
    run(&mut sql, "drop function public.fail cascade").await;
    let known = "select count(*) from porchlight.people where name = 'Josh'";
    until_counted(&mut sql, known, 1).await;
}

#[tokio::test]
async fn a_name_is_never_a_reason_to_refuse_a_token() {
    let service = Service::start().await;
    for name in [
        json!(7),
        json!(null),
        json!(["x"]),
        json!("\u{0}"),
        json!("x".repeat(3_000)),
    ] {
        let token = honest(&json!({"name": name}));
        let request = service
            .client
            .get(service.url("/events"))
            .bearer_auth(token);
        assert_eq!(Answer::to(request).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn ids_of_users_are_lines_that_nothing_follows() {
    let service = Service::start().await;
    let josh = &Token::user("josh", &["a"]);
    assert_eq!(
        service.list("/people?users=", josh).await,
        json!({"people": []})
    );
    for users in ["josh%0A", "%0Ajosh", "josh%0D%0Aeve", "%0A"] {
        let url = service.url(&format!("/people?users={users}"));
        let request = service.client.get(url).bearer_auth(josh.signed());
        let field = Answer::to(request)
            .await
            .refused(400, "invalid_parameter", users);
        assert_eq!(field.as_deref(), Some("users"), "{users}");
    }
}

#[tokio::test]
async fn the_claim_with_the_name_can_be_configured() {
    let service = Service::with(&["--claim-name=profile.full"]).await;
    let token = honest(&json!({"sub": "josh", "profile": {"full": "Josh Lee"}, "name": "jl"}));
    let request = service
        .client
        .get(service.url("/events"))
        .bearer_auth(token);
    assert_eq!(Answer::to(request).await.status, 200);
    eventually("the name is known", async || {
        (activity_of(&service, "josh").await["userName"] == "Josh Lee").then_some(())
    })
    .await;
}

#[test]
fn a_token_for_trying_things_out_can_have_a_name() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porchlight"));
    command.args(["token", "--user=u", "--broker=b", "--name", "Josh Lee"]);
    command.env("JWT_SECRET", crate::support::service::SECRET);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    let decoded: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(token.trim()).expect("claims");
    assert_eq!(decoded["name"], "Josh Lee");
}
