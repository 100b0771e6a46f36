//! An event as bytes: encoded once, shared by every stream that writes it.

use std::sync::OnceLock;

use bytes::Bytes;

use super::gzip;
use crate::event::json::EventJson;
use crate::event::{Cursor, Event};
use crate::ids::{EventType, RecordPath};

/// How a stream wants its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Compressed, as independent blocks.
    pub gzip: bool,
    /// With the `event:` line.
    pub named: bool,
}

/// One event as all streams write it, and what their filters look at.
#[derive(Debug)]
pub struct Encoded {
    /// What filters look at.
    pub event_type: EventType,
    /// What filters look at.
    pub record: Option<RecordPath>,
    named: Bytes,
    /// The same bytes from behind the `event:` line.
    unnamed: Bytes,
    compressed: [OnceLock<Bytes>; 2],
}

impl Encoded {
    /// Encodes an event; without an id where it has no place in a log. The id comes last:
    /// a client that is cut off inside an event must not have its id yet.
    #[must_use]
    pub fn of(event: &Event, id: Option<&Cursor>) -> Self {
        let told = &event.told;
        let json = serde_json::to_string(&EventJson::of(event)).unwrap_or_default();
        let name = format!("event: {}\n", told.event_type);
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let named = Bytes::from(format!("{name}data: {json}\n{id}\n"));
        Self {
            event_type: told.event_type.clone(),
            record: told.record_path(),
            unnamed: named.slice(name.len()..),
            named,
            compressed: [OnceLock::new(), OnceLock::new()],
        }
    }

    /// The bytes for a stream.
    #[must_use]
    pub fn bytes(&self, encoding: Encoding) -> &Bytes {
        let plain = if encoding.named {
            &self.named
        } else {
            &self.unnamed
        };
        if encoding.gzip {
            self.compressed[usize::from(encoding.named)].get_or_init(|| gzip::deflated(plain))
        } else {
            plain
        }
    }

    /// The event's JSON: what stands behind `data: `.
    #[must_use]
    pub fn json(&self) -> &str {
        let line = self
            .unnamed
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        std::str::from_utf8(line.strip_prefix(b"data: ").unwrap_or(line)).unwrap_or_default()
    }

    /// The bytes that it keeps.
    #[must_use]
    pub fn size(&self) -> usize {
        self.named.len()
    }
}
