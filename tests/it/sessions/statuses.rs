//! What the endpoints of sessions answer when there is too much, or when their tables are gone.

use serde_json::json;
use sqlx::Executor;

use super::{admin, ann, revoke};
use crate::support::Service;
use crate::support::requests::post;

#[tokio::test]
async fn tokens_that_are_revoked_one_by_one_have_a_limit() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    let many = "insert into porchlight.revocations (broker_id, kind, subject, number)
        select 'b', 'token', 'many-' || n, 0 from generate_series(1, 100000) n";
    sql.execute(many).await.expect("rows");
    let answer = post(
        &service,
        &admin(),
        "/sessions/revoke",
        &json!({"tokenId": "more"}),
    )
    .await;
    let field = answer.refused(409, "too_many_revocations", "one more");
    assert_eq!(field.as_deref(), Some("tokenId"));
    // One that is revoked already is not one more, and a user never is.
    revoke(&service, &json!({"tokenId": "many-1"})).await;
    revoke(&service, &json!({"user": "ann"})).await;
    let elsewhere = admin().of("c");
    let answer = post(
        &service,
        &elsewhere,
        "/sessions/revoke",
        &json!({"tokenId": "more"}),
    )
    .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn without_its_tables_a_session_cannot_be_changed() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    for table in ["revocations", "stream_renewals", "tickets"] {
        let rename = format!("alter table porchlight.{table} rename to hidden_{table}");
        sql.execute(sqlx::AssertSqlSafe(rename))
            .await
            .expect("renamed");
    }
    let body = json!({"user": "ann"});
    let answer = post(&service, &admin(), "/sessions/revoke", &body).await;
    answer.refused(503, "database_unavailable", "a revocation");
    let body = json!({"stream": "5f0c2b7e9d4a4c55a1f6f3a0f8f9a001"});
    let answer = post(&service, &ann(), "/sessions/renew", &body).await;
    answer.refused(503, "database_unavailable", "a renewal");
    let answer = post(&service, &ann(), "/sessions/ticket", &json!({})).await;
    answer.refused(503, "database_unavailable", "a ticket");
    let path = format!("/stream?ticket={}", "a".repeat(64));
    let mut stream = crate::support::Stream::open(service.client.get(service.url(&path))).await;
    assert_eq!(stream.status, 200);
    let last = crate::support::ends::last_words(&mut stream).await;
    assert_eq!(last["reason"], "unavailable");
}
