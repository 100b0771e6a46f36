//! `GET /session`: what a token is good for.

use reqwest::Method;
use serde_json::{Value, json};

use super::{admin, get, token};
use crate::support::requests::{posted, send};
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
async fn a_caller_is_told_how_much_of_each_quota_is_used() {
    let flags = ["--locks-per-user=7", "--keys-per-user=0"];
    let service = Service::with(&flags).await;
    let josh = Token::user("josh", &["a"]);
    let other = Token::user("jane", &["a"]);
    for (who, record) in [(&josh, "e-1"), (&josh, "e-2"), (&other, "e-3")] {
        let body = json!({"module": "escrows", "recordId": record, "session": "tab"});
        posted(&service, who, "/locks", &body).await;
    }
    let note = json!({"audience": {"user": "josh"}, "level": "info", "title": "t"});
    posted(&service, &josh, "/notifications", &note).await;
    let _open = super::open(&service, "/stream", &josh.signed()).await;
    let told = service.list("/session", &josh).await["quotas"].clone();
    let level = |used: Value, most: Value| json!({"used": used, "most": most});
    for (name, used, most, of_all) in [
        ("tasks", json!(0), json!(500), json!(20_000)),
        ("locks", json!(2), json!(7), json!(10_000)),
        ("notifications", json!(1), json!(10_000), json!(500_000)),
        ("unread", json!(1), json!(5_000), json!(500_000)),
        ("keys", json!(0), Value::Null, json!(1_000_000)),
        ("uploads", json!(0), json!(20), json!(500)),
        ("polls", json!(0), json!(20), json!(5_000)),
        ("streams", json!(1), json!(5), json!(20_000)),
    ] {
        // What others have is not for agents.
        let expected = json!({"user": level(used, most), "brokerage": level(Value::Null, of_all)});
        assert_eq!(told[name], expected, "{name}");
    }
    let of_admin = service.list("/session", &admin()).await["quotas"].clone();
    assert_eq!(
        of_admin["locks"]["brokerage"],
        json!({"used": 3, "most": 10_000})
    );
    assert_eq!(of_admin["unread"]["brokerage"]["used"], 1);
    assert_eq!(of_admin["streams"]["brokerage"]["used"], 1);
    let of_service = service.list("/session", &Token::service("b")).await["quotas"].clone();
    assert_eq!(of_service["locks"]["user"], Value::Null);
    assert_eq!(of_service["locks"]["brokerage"]["used"], 3);
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
