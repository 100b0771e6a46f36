//! The text of a stream besides its logged events.
//!
//! `retry:` is never in a block of its own, and a heartbeat never ends a block. Several clients
//! would make an empty message of either.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::fanout::{CloseReason, StreamEncoding, chunks, gzip};
use crate::log::Cursor;

/// The shortest time after which a client comes back. One browser uses no shorter one.
pub const RETRY_FLOOR: Duration = Duration::from_millis(500);
/// After a broken connection, clients come back within this time.
pub const RETRY_USUAL: Duration = Duration::from_secs(3);

/// The first bytes of a stream.
#[must_use]
pub fn hello(retry: Duration) -> String {
    format!("retry: {}\n:ok\n", retry.as_millis())
}

/// An event of the stream itself. With an id, it moves the client's cursor.
#[must_use]
pub fn control(named: bool, data: &Value, id: Option<&Cursor>) -> String {
    let name = match &data["type"] {
        Value::String(name) if named => format!("event: {name}\n"),
        _ => String::new(),
    };
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{name}data: {data}\n{id}\n")
}

/// An event of the stream itself without an id, whose data is JSON already.
#[must_use]
pub fn event(named: bool, name: &str, json: &str) -> String {
    let mut text = String::with_capacity(json.len() + name.len() + 24);
    add_event(&mut text, named, name, json, None);
    text
}

/// Adds an event of the stream itself, whose data is JSON already. With an id, it moves the client's cursor.
pub fn add_event(text: &mut String, named: bool, name: &str, json: &str, id: Option<&str>) {
    if named {
        for part in ["event: ", name, "\n"] {
            text.push_str(part);
        }
    }
    for part in ["data: ", json, "\n"] {
        text.push_str(part);
    }
    if let Some(id) = id {
        for part in ["id: ", id, "\n"] {
            text.push_str(part);
        }
    }
    text.push('\n');
}

/// An event of the log, whose JSON is changed for one stream.
#[must_use]
pub fn logged(name: Option<&str>, json: &str, id: &Cursor) -> String {
    let name = name.map(|name| format!("event: {name}\n"));
    format!("{}data: {json}\nid: {id}\n\n", name.unwrap_or_default())
}

/// The token of a stream ends soon.
#[must_use]
pub fn expiring(named: bool, left: Duration) -> String {
    let data = serde_json::json!({"type": "stream:expiring", "inSeconds": left.as_secs()});
    control(named, &data, None)
}

/// A stream has got a fresh token.
#[must_use]
pub fn renewed(named: bool, left: Duration) -> String {
    let data = serde_json::json!({"type": "stream:renewed", "inSeconds": left.as_secs()});
    control(named, &data, None)
}

/// The last text of a stream: why it ends, and when the client may come back.
#[must_use]
pub fn closing(named: bool, reason: CloseReason, retry: Duration) -> String {
    let retry_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    let data = serde_json::json!({
        "type": "stream:closing", "reason": reason.as_str(), "retryMs": retry_ms,
    });
    format!("retry: {retry_ms}\n{}", control(named, &data, None))
}

/// A heartbeat as a comment, which clients do not see as an event.
pub const HEARTBEAT: &str = ":hb\n";

/// A heartbeat as an event, which moves the client's cursor.
#[must_use]
pub fn heartbeat(named: bool, cursor: &Cursor) -> String {
    if named {
        format!("event: hb\ndata:\nid: {cursor}\n\n")
    } else {
        format!("data: {{\"type\":\"hb\"}}\nid: {cursor}\n\n")
    }
}

/// Text of one stream only, in its encoding.
#[must_use]
pub fn encoded(encoding: StreamEncoding, text: &str) -> Bytes {
    framed(encoding, &[], text)
}

/// The same at the beginning of a stream.
#[must_use]
pub fn first(encoding: StreamEncoding, text: &str) -> Bytes {
    let header = if encoding.gzip { gzip::HEADER } else { &[] };
    framed(encoding, header, text)
}

fn framed(encoding: StreamEncoding, header: &[u8], text: &str) -> Bytes {
    let stored = encoding.gzip.then(|| gzip::stored(text.as_bytes()));
    let text = stored.as_deref().unwrap_or(text.as_bytes());
    if encoding.chunked {
        chunks::chunk(&[header, text])
    } else {
        [header, text].concat().into()
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
    fn retry_is_part_of_a_block() {
        assert_eq!(hello(Duration::from_millis(1234)), "retry: 1234\n:ok\n");
        let text = closing(true, CloseReason::Drain, Duration::from_millis(700));
        assert!(
            text.starts_with("retry: 700\nevent: stream:closing\ndata: {"),
            "{text}"
        );
        assert!(text.ends_with("}\n\n"));
    }
}
