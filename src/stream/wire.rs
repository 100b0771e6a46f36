//! The text of a stream beside its events, exactly as real clients need it.
//!
//! `retry:` never stands in a block of its own and a heartbeat never ends one: several
//! clients would make empty messages of them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::fanout::{CloseReason, Encoding, gzip};
use crate::log::Cursor;

/// Clients are not told to come back sooner; one browser would not anyway.
pub const RETRY_FLOOR: Duration = Duration::from_millis(500);
/// After a broken line, clients come back within this.
pub const RETRY_USUAL: Duration = Duration::from_secs(3);

/// The first bytes of a stream.
#[must_use]
pub fn hello(retry: Duration) -> String {
    format!("retry: {}\n:ok\n", retry.as_millis())
}

/// An event of the stream's own; with an id, it moves the client's cursor.
#[must_use]
pub fn control(named: bool, data: &Value, id: Option<&Cursor>) -> String {
    let name = match &data["type"] {
        Value::String(name) if named => format!("event: {name}\n"),
        _ => String::new(),
    };
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{name}data: {data}\n{id}\n")
}

/// The last words of a stream: why, and when to come back.
#[must_use]
pub fn closing(named: bool, reason: CloseReason, retry: Duration) -> String {
    let retry_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    let data = serde_json::json!({
        "type": "stream:closing", "reason": reason.as_str(), "retryMs": retry_ms,
    });
    format!("retry: {retry_ms}\n{}", control(named, &data, None))
}

/// "I am alive", for whoever reads bytes.
pub const HEARTBEAT: &str = ":hb\n";

/// "I am alive, and you have everything up to here", for whoever reads events.
#[must_use]
pub fn heartbeat(named: bool, cursor: &Cursor) -> String {
    if named {
        format!("event: hb\ndata:\nid: {cursor}\n\n")
    } else {
        format!("data: {{\"type\":\"hb\"}}\nid: {cursor}\n\n")
    }
}

/// Text that is written once, as this stream wants its bytes.
#[must_use]
pub fn encoded(encoding: Encoding, text: &str) -> Bytes {
    if encoding.gzip {
        gzip::stored(text.as_bytes()).into()
    } else {
        text.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Epoch;

    #[test]
    fn the_id_is_the_last_line_of_a_block() {
        let at = Epoch::stored("k7q2").at(7);
        let data = serde_json::json!({"type": "stream:ready"});
        let ready = "event: stream:ready\ndata: {\"type\":\"stream:ready\"}\nid: 7-k7q2\n\n";
        assert_eq!(control(true, &data, Some(&at)), ready);
        assert_eq!(heartbeat(true, &at), "event: hb\ndata:\nid: 7-k7q2\n\n");
        assert_eq!(
            heartbeat(false, &at),
            "data: {\"type\":\"hb\"}\nid: 7-k7q2\n\n"
        );
    }

    #[test]
    fn retry_stands_within_a_block() {
        assert_eq!(hello(Duration::from_millis(1234)), "retry: 1234\n:ok\n");
        let text = closing(true, CloseReason::Drain, Duration::from_millis(700));
        assert!(
            text.starts_with("retry: 700\nevent: stream:closing\ndata: {"),
            "{text}"
        );
        assert!(text.ends_with("}\n\n"));
    }
}
