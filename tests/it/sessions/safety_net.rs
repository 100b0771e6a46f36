//! Revocations without notices, without the table, and by the removal of a key.

use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::json;
use sqlx::Executor;
use tokio_util::sync::CancellationToken;

use super::{accepted, ann, get, open, revoke, revoked, status, token, two_without_notices};
use crate::support::ends::last_words;
use crate::support::forge;
use crate::support::instances::{cut_connections, two};
use crate::support::requests::post;
use crate::support::{Answer, Service, Stream, Token, eventually, for_team};

const LISTENERS: &str = "query ilike 'listen%'";

/// Revokes tokens at both in turn, and waits for the ends of their streams at both.
async fn revoke_in_turn(instances: &[Service; 2], rounds: usize) {
    for round in 0..rounds {
        let id = format!("t-{round}");
        let old = token("ann", &id, -5);
        let mut streams = [
            open(&instances[0], "/stream", &old).await.0,
            open(&instances[1], "/stream", &old).await.0,
        ];
        revoke(&instances[round % 2], &json!({"tokenId": id})).await;
        for stream in &mut streams {
            assert_eq!(last_words(stream).await["reason"], "revoked");
        }
        for instance in instances {
            assert_eq!(status(instance, &old).await, revoked());
        }
    }
}

/// `benches/revocation/run.sh` measures how long it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notices_a_hundred_revocations_are_found_by_polling() {
    let instances = &two_without_notices(&["--user-rate=0"]).await;
    // The stream is at the instance that is not asked.
    let one = async |n: usize| {
        let (asked, other) = (&instances[n % 2], &instances[(n + 1) % 2]);
        let id = format!("t-{n}");
        let old = token(&format!("u-{n}"), &id, -5);
        assert_eq!(status(asked, &old).await, accepted());
        let mut stream = open(other, "/stream/team", &old).await.0;
        revoke(asked, &json!({"tokenId": id})).await;
        assert_eq!(last_words(&mut stream).await["reason"], "revoked");
        for instance in instances {
            assert_eq!(status(instance, &old).await, revoked());
        }
    };
    join_all((0..100).map(one)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_listeners_are_cut_a_revocation_arrives() {
    let instances = two(&[]).await;
    let done = CancellationToken::new();
    let (database, cut) = (instances[0].database.clone(), done.clone());
    let cutting = tokio::spawn(async move { cut_connections(&database, LISTENERS, &cut).await });
    revoke_in_turn(&instances, 4).await;
    done.cancel();
    assert!(cutting.await.expect("it ends") > 0, "no listener was cut");
}

#[tokio::test]
async fn while_revocations_cannot_be_read_there_are_no_streams_and_no_writes() {
    let service = Service::with(&["--unavailable-seconds=1"]).await;
    let mut open = open(&service, "/stream/team", &ann().signed()).await.0;
    let mut sql = service.database.connect().await;
    let hide = "alter table porchlight.session_head rename to hidden_head";
    sql.execute(hide).await.expect("renamed");
    assert_eq!(last_words(&mut open).await["reason"], "unavailable");
    let beat = json!({"session": "s"});
    let answer = post(&service, &ann(), "/presence/heartbeat", &beat).await;
    answer.refused(503, "database_unavailable", "a heartbeat");
    assert!(!answer.header("retry-after").is_empty());
    let answer = service.post("b", &for_team("a", 1)).await;
    assert_eq!(answer.status, 503);
    let mut refused = service.stream("/stream/team", &ann()).await;
    assert_eq!(refused.status, 200);
    assert_eq!(last_words(&mut refused).await["reason"], "unavailable");
    // Reads go on.
    assert_eq!(status(&service, &ann().signed()).await, accepted());
    let show = "alter table porchlight.hidden_head rename to session_head";
    sql.execute(show).await.expect("renamed");
    let writes = async || {
        let answer = post(&service, &ann(), "/presence/heartbeat", &beat).await;
        (answer.status == 200).then_some(())
    };
    eventually("writes are accepted again", writes).await;
    let mut again = service.stream("/stream/team", &ann()).await;
    assert_eq!(again.next().await.name, "stream:ready");
}

#[tokio::test]
async fn a_key_that_is_removed_ends_the_streams_that_use_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("jwks.json");
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    write(&forge::jwks(Algorithm::ES256, "old"));
    let service = Service::with(&["--jwt-jwks-file", file.to_str().expect("a path")]).await;
    let old = forge::signed_by(Algorithm::ES256, Some("old"));
    let mut ends = open(&service, "/stream/team", &old).await.0;
    let mut poll = tokio::spawn(Answer::to(get(
        &service,
        "/events?wait=60&types=no:*",
        &old,
    )));
    let mut stays = service.stream("/stream/team", &ann()).await;
    stays.next().await;
    // Any change is not enough.
    let both = forge::jwks(Algorithm::ES256, "old").replace("\"keys\"", "\"more\": 1, \"keys\"");
    write(&both);
    let waits = tokio::time::timeout(Duration::from_secs(2), &mut poll).await;
    assert!(waits.is_err(), "the key is still there");
    write(&forge::jwks(Algorithm::EdDSA, "new"));
    assert_eq!(last_words(&mut ends).await["reason"], "revoked");
    let answer = poll.await.expect("an answer");
    answer.refused(401, "token_key_unknown", "a long poll");
    let fresh = forge::signed_by(Algorithm::EdDSA, Some("new"));
    open(&service, "/stream/team", &fresh).await;
    service.publish(&for_team("a", 1)).await;
    assert_eq!(stays.next_logged().await.name, "test:tick");
}

#[tokio::test]
async fn other_users_of_a_brokerage_do_not_notice_many_revocations() {
    let service = Service::start().await;
    let mut stays: Stream = service
        .stream("/stream/team", &Token::user("bob", &["a"]))
        .await;
    stays.next().await;
    for n in 0..30 {
        revoke(&service, &json!({"tokenId": format!("t-{n}")})).await;
        revoke(&service, &json!({"user": format!("u-{n}")})).await;
    }
    service.publish(&for_team("a", 1)).await;
    assert_eq!(stays.next_logged().await.name, "test:tick");
    assert_eq!(status(&service, &token("u-7", "x", -1)).await, revoked());
    assert_eq!(status(&service, &token("bob", "t-7", -1)).await, revoked());
    assert_eq!(
        status(&service, &token("bob", "t-77", -1)).await,
        accepted()
    );
}
