//! `POST /sessions/revoke`: what was open ends, and the tokens are refused, at every instance.

use std::sync::Arc;

use porchlight::identity::Role;
use serde_json::{Value, json};

use super::{accepted, admin, ann, get, open, revoke, revoked, status, token};
use crate::support::cluster::TestDatabase;
use crate::support::ends::last_words;
use crate::support::instances::two;
use crate::support::requests::{post, posted};
use crate::support::{Answer, Service, Stream, Token, eventually, for_team, number};

/// Waits until an instance refuses a token.
async fn refused(service: &Service, token: &str) {
    let is_refused = async || (status(service, token).await == revoked()).then_some(());
    eventually("the token is refused", is_refused).await;
}

#[tokio::test]
async fn a_revoked_user_loses_everything_that_is_open_at_every_instance() {
    let instances = two(&[]).await;
    let [one, other] = &instances;
    let (old, bobs) = (token("ann", "t-1", -10), token("bob", "t-2", -10));
    let task = posted(one, &ann(), "/tasks", &json!({"type": "x"})).await;
    let output = format!("/tasks/{}/output", task["id"].as_str().expect("an id"));
    let (mut streams, mut bystanders, mut polls) = (Vec::new(), Vec::new(), Vec::new());
    for instance in &instances {
        // The token is known at both, before it is revoked.
        streams.push(open(instance, "/stream", &old).await.0);
        streams.push(Stream::open(get(instance, &output, &old)).await);
        bystanders.push(open(instance, "/stream/team", &bobs).await.0);
        let poll = get(instance, "/events?wait=60&types=none:*", &old);
        polls.push(tokio::spawn(Answer::to(poll)));
    }
    let answer = revoke(one, &json!({"user": "ann"})).await;
    assert_eq!(answer["revoked"], "user");
    assert_eq!(answer["keptUntil"], Value::Null);
    for stream in &mut streams {
        assert_eq!(last_words(stream).await["reason"], "revoked");
    }
    for poll in polls {
        let answer = poll.await.expect("an answer");
        answer.refused(401, "token_revoked", "a long poll");
    }
    // The instance that was asked refuses at once, the other one as soon as its streams end.
    for instance in &instances {
        assert_eq!(status(instance, &old).await, revoked());
        let again = Answer::to(get(instance, "/stream", &old)).await;
        again.refused(401, "token_revoked", "a stream");
        // A token that is issued later is another matter.
        assert_eq!(status(instance, &token("ann", "t-3", 2)).await, accepted());
    }
    other.publish(&for_team("a", 1)).await;
    for stream in &mut bystanders {
        assert_eq!(number(&stream.next_logged().await), 1);
    }
    // Once more changes nothing for them.
    revoke(
        other,
        &json!({"user": "ann", "issuedBefore": "2025-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(status(one, &old).await, revoked());
}

#[tokio::test]
async fn a_claim_that_waits_ends_with_its_token() {
    let service = Service::start().await;
    let worker = Token::user("wes", &[]).in_role(Role::Worker);
    let body = json!({"types": ["never"], "waitSeconds": 60});
    let waiting = post(&service, &worker, "/tasks/claim", &body);
    let revoking = async {
        let waits =
            async || (service.metric("porchlight_claims_waiting").await > 0.5).then_some(());
        eventually("the claim waits", waits).await;
        revoke(&service, &json!({"user": "wes"})).await;
    };
    let (answer, ()) = tokio::join!(waiting, revoking);
    answer.refused(401, "token_revoked", "a claim");
}

#[tokio::test]
async fn one_token_is_revoked_by_its_id() {
    let instances = two(&[]).await;
    let (first, second) = (token("ann", "t-1", -5), token("ann", "t-2", -5));
    let mut ends = open(&instances[1], "/stream/team", &first).await.0;
    let mut stays = open(&instances[1], "/stream/team", &second).await.0;
    let body = json!({"tokenId": "t-1", "expiresAt": "2035-01-01T00:00:00Z"});
    let answer = revoke(&instances[0], &body).await;
    let expected = json!({
        "revoked": "token", "issuedBefore": null, "keptUntil": "2035-01-01T00:00:00.000Z",
    });
    assert_eq!(answer, expected);
    assert_eq!(last_words(&mut ends).await["reason"], "revoked");
    for instance in &instances {
        assert_eq!(status(instance, &first).await, revoked());
        assert_eq!(status(instance, &second).await, accepted());
    }
    instances[0].publish(&for_team("a", 1)).await;
    assert_eq!(number(&stays.next_logged().await), 1);
}

#[tokio::test]
async fn tokens_that_were_issued_before_a_time_are_revoked() {
    let service = Service::start().await;
    let (old, new) = (token("ann", "t-1", -7_200), token("ann", "t-2", -60));
    let mut ends = open(&service, "/stream/team", &old).await.0;
    let mut stays = open(&service, "/stream/team", &new).await.0;
    let hour_ago = porchlight::platform::Clock::system().now() - time::Duration::HOUR;
    let hour_ago = porchlight::log::timestamp(hour_ago);
    let answer = revoke(&service, &json!({"user": "ann", "issuedBefore": hour_ago})).await;
    assert_eq!(answer["issuedBefore"], hour_ago.as_str());
    assert_eq!(last_words(&mut ends).await["reason"], "revoked");
    assert_eq!(status(&service, &old).await, revoked());
    assert_eq!(status(&service, &new).await, accepted());
    // Without `iat` it may be older.
    let without = crate::support::forge::honest(&json!({"sub": "ann"}));
    assert_eq!(status(&service, &without).await, revoked());
    service.publish(&for_team("a", 1)).await;
    assert_eq!(number(&stays.next_logged().await), 1);
}

#[tokio::test]
async fn a_brokerage_is_revoked_as_a_whole_and_no_other() {
    let service = Service::start().await;
    let old = token("ann", "t-1", -5);
    let elsewhere = Token::user("ann", &["a"]).of("c");
    let mut ends = open(&service, "/stream/team", &old).await.0;
    let mut stays = service.stream("/stream/team", &elsewhere).await;
    stays.next().await;
    let theirs = admin().of("c");
    for what in [json!({"user": "zoe"}), json!({"tokenId": "t-1"})] {
        let answer = post(&service, &theirs, "/sessions/revoke", &what).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(status(&service, &old).await, accepted());
    revoke(&service, &json!({"broker": true})).await;
    assert_eq!(last_words(&mut ends).await["reason"], "revoked");
    assert_eq!(status(&service, &old).await, revoked());
    // The caller's own token is one of them.
    let again = post(
        &service,
        &admin(),
        "/sessions/revoke",
        &json!({"broker": true}),
    )
    .await;
    assert_eq!((again.status, again.json()["code"].clone()), revoked());
    service.post("c", &for_team("a", 1)).await;
    assert_eq!(number(&stays.next_logged().await), 1);
}

#[tokio::test]
async fn only_admins_and_services_may_revoke() {
    let service = Service::start().await;
    let body = json!({"user": "ann"});
    for role in [Role::Agent, Role::Worker] {
        let who = Token::user("eve", &[]).in_role(role);
        let answer = post(&service, &who, "/sessions/revoke", &body).await;
        answer.refused(403, "role_needed", "a revocation");
    }
    // One that was signed in a later second would be newer than the revocation.
    let token = ann().signed();
    assert_eq!(status(&service, &token).await, accepted());
    let answer = post(&service, &Token::service("b"), "/sessions/revoke", &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(status(&service, &token).await, revoked());
}

#[tokio::test]
async fn a_revocation_names_one_thing_that_can_be_revoked() {
    let service = Service::start().await;
    for (body, field) in [
        (json!({}), None),
        (json!({"user": "u", "tokenId": "t"}), None),
        (json!({"user": "u", "broker": true}), None),
        (json!({"broker": false}), Some("broker")),
        (json!({"team": "t"}), Some("team")),
        (json!({"tokenId": ""}), Some("tokenId")),
        (json!({"tokenId": "x".repeat(129)}), Some("tokenId")),
        (json!({"tokenId": "a\0b"}), Some("tokenId")),
        (
            json!({"tokenId": "t", "issuedBefore": "2025-01-01T00:00:00Z"}),
            Some("issuedBefore"),
        ),
        (
            json!({"user": "u", "expiresAt": "2025-01-01T00:00:00Z"}),
            Some("expiresAt"),
        ),
        (
            json!({"user": "u", "issuedBefore": "soon"}),
            Some("issuedBefore"),
        ),
        (
            json!({"user": "u", "issuedBefore": "2999-01-01T00:00:00Z"}),
            Some("issuedBefore"),
        ),
        (json!({"user": " u"}), Some("user")),
        (json!({"everyone": true}), Some("everyone")),
    ] {
        let answer = post(&service, &admin(), "/sessions/revoke", &body).await;
        let found = answer.refused(400, "invalid_body", &body.to_string());
        assert_eq!(found.as_deref(), field, "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_revocation_outlives_the_service_and_ends_with_the_last_token() {
    let database = Arc::new(TestDatabase::create().await);
    let flags = &["--jwt-max-seconds=7200"];
    let service = Service::on(Arc::clone(&database), flags).await;
    let old = token("ann", "t-1", -5);
    assert_eq!(status(&service, &old).await, accepted());
    let answer = revoke(&service, &json!({"user": "ann"})).await;
    let time = |name: &str| {
        let format = &time::format_description::well_known::Rfc3339;
        let text = answer[name].as_str().expect("a time");
        time::OffsetDateTime::parse(text, format).expect("a time")
    };
    assert_eq!(
        time("keptUntil") - time("issuedBefore"),
        time::Duration::hours(2)
    );
    service.stop().await;
    let mut sql = database.connect().await;
    let over = "insert into porchlight.revocations
        select broker_id, kind, 'over', team, issued_before, now() - interval '1 hour', number
        from porchlight.revocations";
    sqlx::query(over).execute(&mut sql).await.expect("a row");
    let service = Service::on(Arc::clone(&database), flags).await;
    refused(&service, &old).await;
    let users = async || {
        let users = "select string_agg(subject, ' ') from porchlight.revocations";
        let users: Option<String> = sqlx::query_scalar(users)
            .fetch_one(&mut database.connect().await)
            .await
            .expect("an answer");
        (users.as_deref() == Some("ann")).then_some(())
    };
    eventually("what is over is deleted", users).await;
}

#[tokio::test]
async fn a_token_must_not_last_longer_than_allowed() {
    let service = Service::with(&["--jwt-max-seconds=3600"]).await;
    assert_eq!(status(&service, &ann().signed()).await, accepted());
    let long = ann().lasting(3_601).signed();
    let answer = Answer::to(get(&service, "/events", &long)).await;
    let field = answer.refused(401, "token_claim_invalid", "too long");
    assert_eq!(field.as_deref(), Some("exp"));
    let without = crate::support::forge::honest(&json!({}));
    let answer = Answer::to(get(&service, "/events", &without)).await;
    let field = answer.refused(401, "token_claim_missing", "without iat");
    assert_eq!(field.as_deref(), Some("iat"));
}

#[tokio::test]
async fn a_time_that_has_no_year_in_utc_is_refused() {
    let service = Service::start().await;
    for (name, mut body) in [
        ("expiresAt", json!({"tokenId": "t-1"})),
        ("issuedBefore", json!({"user": "ann"})),
    ] {
        body[name] = json!("9999-12-31T23:59:59-23:59");
        let answer = post(&service, &admin(), "/sessions/revoke", &body).await;
        let field = answer.refused(400, "invalid_body", name);
        assert_eq!(field.as_deref(), Some(name));
    }
    // The last moment that has one.
    let body = json!({"tokenId": "t-1", "expiresAt": "9999-12-31T22:59:59-01:00"});
    let answer = revoke(&service, &body).await;
    assert_eq!(answer["keptUntil"], "9999-12-31T23:59:59.000Z");
}
