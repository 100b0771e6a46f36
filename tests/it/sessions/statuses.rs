//! Every status that the endpoints of sessions may answer, as openapi.yaml lists them.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sqlx::Executor;

use super::{admin, ann, revoke};
use crate::support::requests::post;
use crate::support::{Answer, Service, eventually};

const POSTS: [&str; 3] = ["/sessions/revoke", "/sessions/renew", "/sessions/ticket"];

fn request(service: &Service, path: &str) -> RequestBuilder {
    let request = service.client.request(Method::POST, service.url(path));
    request.bearer_auth(admin().signed())
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let service = Service::start().await;
    for path in POSTS {
        let text = request(&service, path)
            .body("{}")
            .header("content-type", "text/plain");
        let answer = Answer::to(text).await;
        answer.refused(415, "unsupported_media_type", path);
        let long = json!({"stream": "x".repeat(300_000)});
        let answer = Answer::to(request(&service, path).json(&long)).await;
        answer.refused(413, "body_too_large", path);
        for body in [json!([]), json!({"unknown": 1})] {
            let answer = Answer::to(request(&service, path).json(&body)).await;
            answer.refused(400, "invalid_body", path);
        }
        let answer = Answer::to(request(&service, &format!("{path}?x=1")).json(&json!({}))).await;
        answer.refused(400, "invalid_parameter", path);
    }
}

#[tokio::test]
async fn pages_of_other_origins_and_requests_without_a_token_are_refused() {
    let service = Service::start().await;
    let other = "https://other.example";
    for path in POSTS {
        let answer = Answer::to(request(&service, path).header("origin", other)).await;
        answer.refused(403, "origin_not_allowed", path);
        let answer = Answer::to(service.client.post(service.url(path)).json(&json!({}))).await;
        answer.refused(401, "token_missing", path);
    }
    let request = service.get("/session", &ann()).header("origin", other);
    Answer::to(request)
        .await
        .refused(403, "origin_not_allowed", "/session");
}

#[tokio::test]
async fn too_many_requests_are_refused() {
    let service = Service::with(&["--user-rate=1"]).await;
    for path in POSTS {
        let who = admin().of(path.trim_matches('/').replace('/', "-").as_str());
        let refused = async || {
            let answer = post(&service, &who, path, &json!({"stream": "s"})).await;
            (answer.status == 429).then_some(answer)
        };
        let answer = eventually("the bucket is empty", refused).await;
        answer.refused(429, "rate_limited", path);
    }
    let refused = async || {
        let answer = Answer::to(service.get("/session", &ann())).await;
        (answer.status == 429).then_some(answer)
    };
    let answer = eventually("the bucket is empty", refused).await;
    answer.refused(429, "rate_limited", "/session");
}

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
    let mut stream =
        crate::support::Stream::open(service.client.get(service.url("/stream?ticket=unknown")))
            .await;
    assert_eq!(stream.status, 200);
    let last = crate::support::ends::last_words(&mut stream).await;
    assert_eq!(last["reason"], "unavailable");
}
