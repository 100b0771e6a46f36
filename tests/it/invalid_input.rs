//! Invalid requests: each is refused with an explanation, and changes nothing.

mod bodies;
mod connections;
mod events;
mod parameters;
mod random;

use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::{Service, Token};

/// The service works, and has stored nothing but what this publishes.
async fn works_and_holds_nothing(service: &Service) {
    let token = Token::user("u", &["a"]);
    assert_eq!(service.list("/events", &token).await["events"], json!([]));
    let event = json!({"type": "t", "audience": {"team": "a"}});
    let position = service.publish(&event).await.pop().expect("a position");
    assert!(
        position.starts_with("1-"),
        "something was stored: {position}"
    );
    let mut stream = service.stream("/stream?since=0", &token).await;
    assert_eq!(stream.next_logged().await.id, position);
}

fn publish(service: &Service) -> RequestBuilder {
    let token = Token::service("b").signed();
    service
        .client
        .post(service.url("/events"))
        .bearer_auth(token)
}

fn json_body(service: &Service, body: impl Into<reqwest::Body>) -> RequestBuilder {
    publish(service)
        .header("content-type", "application/json")
        .body(body)
}

/// A good event with one more field.
fn with(field: &str, value: &str) -> String {
    format!(r#"{{"type":"t","audience":{{"broker":true}},"{field}":{value}}}"#)
}
