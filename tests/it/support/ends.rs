//! Streams up to their last words.

use serde_json::Value;

use super::{Stream, Token};

/// One of many users of team `a`.
pub fn user(i: usize) -> Token {
    Token::user(&format!("u{i}"), &["a"])
}

/// A stream of the service at `base`.
pub async fn stream_at(base: &str, path: &str, token: &Token) -> Stream {
    let client = reqwest::Client::builder().no_proxy().build();
    let request = client.expect("a client").get(format!("{base}{path}"));
    Stream::open(request.bearer_auth(token.signed())).await
}

/// The last words of a stream that ends.
pub async fn last_words(stream: &mut Stream) -> Value {
    let last = stream.rest().await.pop().expect("last words");
    assert_eq!(last.name, "stream:closing", "{last:?}");
    let last = last.json();
    assert_eq!(last["retryMs"].as_u64(), stream.retry_ms);
    last
}
