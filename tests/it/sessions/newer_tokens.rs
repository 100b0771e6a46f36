//! What the teams of several tokens of one user tell, in whatever order they are used, and also when it cannot be
//! compared at once.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{get, open};
use crate::support::ends::last_words;
use crate::support::forge::honest;
use crate::support::instances::two;
use crate::support::sql::{fail_inserts, run, until_counted, until_failed};
use crate::support::{Answer, Service, eventually};

/// Tokens are issued so many seconds after this.
const START: i64 = 1_700_000_000;

fn token(teams: &[&str], issued_after: i64) -> String {
    honest(&json!({"sub": "ann", "teams": teams, "iat": START + issued_after}))
}

async fn teams(service: &Service, token: &str) -> Value {
    let session = Answer::to(get(service, "/session", token)).await.json();
    session["teams"].clone()
}

/// Waits until a token counts for these teams only.
async fn until_teams(service: &Service, token: &str, expected: &Value) {
    eventually("the token has these teams", async || {
        (teams(service, token).await == *expected).then_some(())
    })
    .await;
}

/// Waits until the newest token of `ann` that is stored was issued so many seconds after the start.
async fn until_stored(sql: &mut PgConnection, issued_after: i64) {
    let stored = "select coalesce(max(extract(epoch from as_of)::bigint), 0) - 1700000000
        from porchlight.memberships where user_id = 'ann'";
    until_counted(sql, stored, issued_after).await;
}

#[tokio::test]
async fn an_older_token_that_is_used_later_loses_the_teams_that_a_newer_one_lacks() {
    let [one, other] = &two(&[]).await;
    let mut sql = one.database.connect().await;
    let (old, new) = (token(&["a", "z"], 1), token(&["z"], 2));
    assert_eq!(teams(one, &new).await, json!(["z"]));
    until_stored(&mut sql, 2).await;
    let mut ends = open(other, "/stream/team", &old).await.0;
    assert_eq!(last_words(&mut ends).await["reason"], "changed");
    for instance in [one, other] {
        until_teams(instance, &old, &json!(["z"])).await;
        assert_eq!(teams(instance, &new).await, json!(["z"]));
    }
    until_stored(&mut sql, 2).await;
}

#[tokio::test]
async fn a_newer_token_with_the_same_teams_counts_at_every_instance() {
    let [one, other] = &two(&[]).await;
    let mut sql = one.database.connect().await;
    for issued_after in [1, 3] {
        teams(one, &token(&["z"], issued_after)).await;
        until_stored(&mut sql, issued_after).await;
    }
    until_teams(other, &token(&["a", "z"], 2), &json!(["z"])).await;
}

#[tokio::test]
async fn two_instances_that_see_two_tokens_at_once_miss_nothing() {
    let service = Service::start().await;
    let mut elsewhere = service.database.connect().await;
    let mut sql = service.database.connect().await;
    // The other instance stores the older token, and has not committed.
    run(
        &mut elsewhere,
        "begin; insert into porchlight.memberships (broker_id, user_id, teams, as_of)
        values ('b', 'ann', '{a,z}', to_timestamp(1700000001))",
    )
    .await;
    assert_eq!(teams(&service, &token(&["z"], 2)).await, json!(["z"]));
    let waits = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    until_counted(&mut sql, waits, 1).await;
    run(&mut elsewhere, "commit").await;
    let revoked = "select count(*) from porchlight.revocations
        where kind = 'member' and subject = 'ann' and team = 'a'";
    until_counted(&mut sql, revoked, 1).await;
    until_stored(&mut sql, 2).await;
}

#[tokio::test]
async fn a_newer_token_that_could_not_be_compared_is_compared_again() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    let (old, new) = (token(&["a", "z"], 1), token(&["z"], 2));
    let mut ends = open(&service, "/stream/team", &old).await.0;
    until_stored(&mut sql, 1).await;
    fail_inserts(&mut sql, "porchlight.revocations").await;
    assert_eq!(teams(&service, &new).await, json!(["z"]));
    until_failed(&mut sql).await;
    assert_eq!(teams(&service, &old).await, json!(["a", "z"]));
    run(&mut sql, "drop function public.fail cascade").await;
    assert_eq!(last_words(&mut ends).await["reason"], "changed");
    until_teams(&service, &old, &json!(["z"])).await;
}
