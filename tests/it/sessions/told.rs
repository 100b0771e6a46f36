//! `GET /session`: what a token is good for.

use reqwest::Method;
use serde_json::{Value, json};

use super::{admin, get, token};
use crate::support::requests::send;
use crate::support::{Answer, Service, Token};

#[tokio::test]
async fn a_caller_is_told_who_they_are_and_what_applies() {
    let service = Service::with(&["--heartbeat-seconds=20", "--jwt-max-seconds=7200"]).await;
    let josh = Token::user("josh", &["a", "b"]).called("Josh Lee");
    let session = service.list("/session", &josh).await;
    for (name, expected) in [
        ("userId", json!("josh")),
        ("name", json!("Josh Lee")),
        ("broker", json!("b")),
        ("teams", json!(["a", "b"])),
        ("role", json!("agent")),
        ("tokenId", Value::Null),
        ("heartbeatSeconds", json!(20)),
        ("expiringSeconds", json!(60)),
        (
            "limits",
            json!({
                "streams": 5, "bodyBytes": 262_144, "eventBytes": 65_536, "pageBytes": 1_048_576,
                "tokenSeconds": 7_200,
            }),
        ),
        (
            "modules",
            json!(["escrows", "listings", "clients", "appointments", "leads"]),
        ),
    ] {
        assert_eq!(session[name], expected, "{name}");
    }
    let of_token = Answer::to(get(&service, "/session", &token("u", "t-1", -5))).await;
    assert_eq!(of_token.header("cache-control"), "no-store");
    let of_token = of_token.json();
    assert_eq!(of_token["tokenId"], "t-1");
    assert_eq!(of_token["name"], Value::Null);
    assert!(of_token["issuedAt"].is_string());
    assert_eq!(service.list("/session", &admin()).await["role"], "admin");
}

#[tokio::test]
async fn a_session_is_refused_like_anything_else() {
    let service = Service::start().await;
    let answer = Answer::to(service.client.get(service.url("/session"))).await;
    answer.refused(401, "token_missing", "no token");
    let answer = Answer::to(service.get("/session?x=1", &admin())).await;
    answer.refused(400, "invalid_parameter", "a parameter");
    let answer = send(&service, &admin(), Method::DELETE, "/session", &Value::Null).await;
    answer.refused(405, "method_not_allowed", "another method");
}
