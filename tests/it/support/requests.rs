//! Requests with a token and JSON.

use reqwest::{Client, Method};
use serde_json::Value;

use super::{Answer, Service, Stream, Token};

/// A client that ignores the machine's proxies. With `gzip` it asks for compression.
pub fn client(gzip: bool) -> Client {
    let client = Client::builder().gzip(gzip).no_proxy().build();
    client.expect("a client")
}

/// Opens a stream anywhere, compressed or not.
pub async fn stream_at(url: &str, token: &Token, gzip: bool) -> Stream {
    let request = client(gzip).get(url);
    Stream::open(request.bearer_auth(token.signed())).await
}

/// Sends a request. It has no body where `body` is null.
pub async fn send(
    service: &Service,
    who: &Token,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer {
    let request = service.client.request(method, service.url(path));
    let request = request.bearer_auth(who.signed());
    Answer::to(match body {
        Value::Null => request,
        body => request.json(body),
    })
    .await
}

/// Posts JSON, whatever it is.
pub async fn post(service: &Service, who: &Token, path: &str, body: &Value) -> Answer {
    let request = service.client.post(service.url(path));
    Answer::to(request.bearer_auth(who.signed()).json(body)).await
}

/// Posts JSON, which must be accepted, and gives the answer's body; null where it has none.
pub async fn posted(service: &Service, who: &Token, path: &str, body: &Value) -> Value {
    let answer = post(service, who, path, body).await;
    let is_success = (200..300).contains(&answer.status);
    assert!(is_success, "{path} {who:?}: {}", answer.text);
    if answer.text.is_empty() {
        return Value::Null;
    }
    answer.json()
}
