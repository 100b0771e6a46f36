//! Tickets, which open streams in place of tokens.

use reqwest::RequestBuilder;

use super::{Answer, Service};

/// A ticket for the user of a token.
pub async fn ticket(service: &Service, token: &str) -> String {
    let request = service.client.post(service.url("/sessions/ticket"));
    let answer = Answer::to(request.bearer_auth(token)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()["ticket"]
        .as_str()
        .expect("a ticket")
        .to_owned()
}

/// A GET with a ticket, and without a token.
pub fn with_ticket(service: &Service, path: &str, ticket: &str) -> RequestBuilder {
    let request = service.client.get(service.url(path));
    request.query(&[("ticket", ticket)])
}
