//! An event as the bytes of an SSE block: encoded once, shared by all streams.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use super::{framing, gzip};
use crate::log::{Audience, Cursor, Epoch, Event, EventJson};
use crate::platform::{EventType, RecordPath, UserId};

/// The memory that a frame uses besides its bytes.
const OVERHEAD_BYTES: usize = 256;

/// The encoding of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEncoding {
    /// As chunks of HTTP/1.1, which [`framing`](super::framing) encodes. Without them, HTTP is the
    /// business of whoever gets the bytes.
    pub chunked: bool,
    pub gzip: bool,
    /// With the `event:` line.
    pub named: bool,
}

/// Whether a reader sees the private fields of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Masked,
    Unmasked,
}

/// An event of the log, ready to be written.
#[derive(Debug)]
pub struct Frame {
    pub position: i64,
    pub audience: Audience,
    pub encoded: EncodedEvent,
    /// The record's owner from now on, if the event changes the owner.
    pub new_owner: Option<Box<Option<UserId>>>,
}

impl Frame {
    #[must_use]
    pub fn of(event: &Event, epoch: &Epoch) -> Self {
        let new_owner = event.body.is_new_owner.then(|| event.body.owner.clone());
        Self {
            position: event.position,
            audience: event.body.audience.clone(),
            encoded: EncodedEvent::of(event, Some(&epoch.at(event.position))),
            new_owner: new_owner.map(Box::new),
        }
    }

    /// The memory that it uses, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.encoded.size() + OVERHEAD_BYTES
    }
}

/// The bytes of an event in all encodings, and the fields that filters need.
#[derive(Debug)]
pub struct EncodedEvent {
    pub event_type: EventType,
    pub record: Option<RecordPath>,
    masked: EventBytes,
    /// The same event with its private fields. Few events have any.
    unmasked: Option<Box<UnmaskedEvent>>,
}

/// Each is a chunk of HTTP/1.1, which contains the bytes without HTTP as a part.
struct EventBytes {
    named: Bytes,
    /// The same event without the `event:` line.
    unnamed: OnceLock<Bytes>,
    compressed: [OnceLock<Bytes>; 2],
}

/// Encoded when the first reader with the right asks for it.
struct UnmaskedEvent {
    event: Event,
    id: Option<Cursor>,
    bytes: OnceLock<EventBytes>,
}

/// Without the text, which may be private.
impl fmt::Debug for EventBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.named.len())
    }
}

impl fmt::Debug for UnmaskedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnmaskedEvent")
    }
}

impl EventBytes {
    /// The id comes last: a client whose connection breaks inside an event must not have its id
    /// yet. An event that is not logged has no id.
    fn of(event: &Event, id: Option<&Cursor>) -> Self {
        let json = serde_json::to_string(&EventJson::of(event)).unwrap_or_default();
        let name = format!("event: {}\n", event.body.event_type);
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let named = [&name, "data: ", &json, "\n", &id, "\n"];
        Self {
            named: framing::chunk(&named.map(str::as_bytes)),
            unnamed: OnceLock::new(),
            compressed: [OnceLock::new(), OnceLock::new()],
        }
    }

    /// The same event without the `event:` line.
    fn unnamed(&self) -> Bytes {
        let named = framing::content(&self.named);
        let line = memchr::memchr(b'\n', &named).map_or(0, |end| end + 1);
        named.slice(line..)
    }

    fn chunk(&self, encoding: StreamEncoding) -> &Bytes {
        let plain = || {
            if encoding.named {
                &self.named
            } else {
                self.unnamed
                    .get_or_init(|| framing::chunk(&[&self.unnamed()]))
            }
        };
        if encoding.gzip {
            let compress = || framing::chunk(&[&gzip::deflated(&framing::content(plain()))]);
            self.compressed[usize::from(encoding.named)].get_or_init(compress)
        } else {
            plain()
        }
    }
}

impl UnmaskedEvent {
    fn bytes(&self) -> &EventBytes {
        let encode = || EventBytes::of(&self.event.unmasked(), self.id.as_ref());
        self.bytes.get_or_init(encode)
    }
}

impl EncodedEvent {
    #[must_use]
    pub fn of(event: &Event, id: Option<&Cursor>) -> Self {
        let unmasked = event.body.private.is_some().then(|| {
            let mut event = event.clone();
            // No stream gets the previous values.
            event.body.previous = None;
            UnmaskedEvent {
                event,
                id: id.cloned(),
                bytes: OnceLock::new(),
            }
        });
        Self {
            event_type: event.body.event_type.clone(),
            record: event.body.record_path(),
            masked: EventBytes::of(event, id),
            unmasked: unmasked.map(Box::new),
        }
    }

    #[must_use]
    pub fn has_private_fields(&self) -> bool {
        self.unmasked.is_some()
    }

    /// The record's owner at the time of encoding, if the event has private fields.
    #[must_use]
    pub fn private_to(&self) -> Option<&UserId> {
        let unmasked = self.unmasked.as_deref()?;
        unmasked.event.body.owner.as_ref()
    }

    fn event_bytes(&self, visibility: Visibility) -> &EventBytes {
        match &self.unmasked {
            Some(unmasked) if visibility == Visibility::Unmasked => unmasked.bytes(),
            _ => &self.masked,
        }
    }

    /// The event in the encoding of a stream. The bytes are shared.
    #[must_use]
    pub fn bytes(&self, encoding: StreamEncoding, visibility: Visibility) -> Bytes {
        let chunk = self.event_bytes(visibility).chunk(encoding);
        if encoding.chunked {
            chunk.clone()
        } else {
            framing::content(chunk)
        }
    }

    /// The event's JSON: the text after `data: `.
    #[must_use]
    pub fn json(&self, visibility: Visibility) -> &str {
        let event = framing::content_of(&self.event_bytes(visibility).named);
        let mut lines = event.split(|byte| *byte == b'\n');
        let json = lines.find_map(|line| line.strip_prefix(b"data: "));
        std::str::from_utf8(json.unwrap_or_default()).unwrap_or_default()
    }

    /// The memory that it uses, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        // The event itself and its unmasked bytes are each about as long as the masked bytes.
        self.masked.named.len() * if self.unmasked.is_some() { 3 } else { 1 }
    }
}
