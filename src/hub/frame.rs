//! An event as bytes: encoded once, shared by every stream that writes it.

use std::sync::OnceLock;

use bytes::Bytes;

use super::gzip;
use crate::event::json::EventJson;
use crate::event::{Audience, Epoch, Event};
use crate::ids::{EventType, ModuleName, RecordId};

/// How a stream wants its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Compressed, as independent blocks.
    pub gzip: bool,
    /// With the `event:` line.
    pub named: bool,
}

/// A frame's share of memory beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// One event, ready to be written.
#[derive(Debug)]
pub struct Frame {
    /// Its place in the log.
    pub position: i64,
    /// Who may see it.
    pub audience: Audience,
    /// What filters look at.
    pub event_type: EventType,
    /// What filters look at.
    pub record: Option<(ModuleName, Option<RecordId>)>,
    named: Bytes,
    /// The same bytes from behind the `event:` line.
    unnamed: Bytes,
    compressed: [OnceLock<Bytes>; 2],
}

impl Frame {
    /// Encodes an event. The id comes last: a client that is cut off inside an event
    /// must not have its id yet.
    #[must_use]
    pub fn of(event: &Event, epoch: &Epoch) -> Self {
        let json = serde_json::to_string(&EventJson::of(event)).unwrap_or_default();
        let name = format!("event: {}\n", event.told.event_type);
        let named = Bytes::from(format!(
            "{name}data: {json}\nid: {}-{epoch}\n\n",
            event.position
        ));
        Self {
            position: event.position,
            audience: event.told.audience.clone(),
            event_type: event.told.event_type.clone(),
            record: event.told.record.clone(),
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

    /// What it costs to keep.
    #[must_use]
    pub fn size(&self) -> usize {
        self.named.len() + OVERHEAD_BYTES
    }
}
