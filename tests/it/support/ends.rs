//! Streams up to their last event.

use serde_json::Value;

use super::{Stream, Token};

/// One of many users of team `a`.
pub fn user(i: usize) -> Token {
    Token::user(&format!("u{i}"), &["a"])
}

/// The last event of a stream that ends.
pub async fn last_words(stream: &mut Stream) -> Value {
    let last = stream.rest().await.pop().expect("last words");
    assert_eq!(last.name, "stream:closing", "{last:?}");
    let last = last.json();
    assert_eq!(
        Some(last["retryMs"].as_u64().expect("a time")),
        stream.retry_ms
    );
    last
}
