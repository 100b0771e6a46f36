//! Sessions: tokens that are revoked, streams that get a fresh token, tickets, and what a caller is told.

use std::sync::Arc;

use porchlight::identity::Role;
use porchlight::platform::Clock;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::cluster::TestDatabase;
use crate::support::forge::honest;
use crate::support::requests::post;
use crate::support::{Answer, Service, Stream, Token};

mod limit;
mod measured;
mod members;
mod newer_tokens;
mod renewal;
mod revocation;
mod safety_net;
mod statuses;
mod ticket_keys;
mod tickets;
mod told;

fn ann() -> Token {
    Token::user("ann", &["a"])
}

fn admin() -> Token {
    Token::user("boss", &[]).in_role(Role::Admin)
}

/// A token of a user with this `jti`, issued so many seconds from now.
fn token(user: &str, id: &str, issued_in: i64) -> String {
    let now = Clock::system().now().unix_timestamp();
    honest(&json!({"sub": user, "jti": id, "iat": now + issued_in}))
}

/// A GET with a token as it is.
fn get(service: &Service, path: &str, token: &str) -> RequestBuilder {
    service.client.get(service.url(path)).bearer_auth(token)
}

/// The status of `GET /events` and its code, if it is refused.
async fn status(service: &Service, token: &str) -> (u16, Value) {
    let answer = Answer::to(get(service, "/events", token)).await;
    let code = if answer.status == 200 {
        Value::Null
    } else {
        answer.json()["code"].clone()
    };
    (answer.status, code)
}

fn revoked() -> (u16, Value) {
    (401, json!("token_revoked"))
}

fn accepted() -> (u16, Value) {
    (200, Value::Null)
}

/// A stream that has begun, and its id.
async fn open(service: &Service, path: &str, token: &str) -> (Stream, String) {
    let mut stream = Stream::open(get(service, path, token)).await;
    assert_eq!(stream.status, 200);
    let ready = stream.next().await;
    assert_eq!(ready.name, "stream:ready", "{ready:?}");
    let id = ready.json()["stream"].as_str().expect("an id").to_owned();
    (stream, id)
}

/// Two instances whose notices for each other are lost, while everything else works: the function that
/// sends them is hidden by one that does nothing.
async fn two_without_notices(flags: &[&str]) -> [Service; 2] {
    let database = Arc::new(TestDatabase::create().await);
    let hide = "create schema hiding;
        create function hiding.pg_notify(text, text) returns void language sql as '';
        do $$ begin
            execute format('alter database %I set search_path = hiding, pg_catalog, public',
                current_database());
        end $$";
    let mut sql = database.connect().await;
    sql.execute(hide).await.expect("the function is hidden");
    let first = Service::on(Arc::clone(&database), flags).await;
    [first, Service::on(database, flags).await]
}

/// Revokes as an admin, and gives the answer.
async fn revoke(service: &Service, what: &Value) -> Value {
    let answer = post(service, &admin(), "/sessions/revoke", what).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}
