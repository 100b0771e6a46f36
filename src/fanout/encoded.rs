//! An event as bytes: encoded once, shared by every stream that writes it.

use std::sync::OnceLock;

use bytes::Bytes;

use super::gzip;
use crate::log::EventJson;
use crate::log::{Cursor, Event};
use crate::platform::{EventType, RecordPath, UserId};

/// How a stream wants its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    pub gzip: bool,
    /// With the `event:` line.
    pub named: bool,
}

/// How a reader sees an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// As most do: without what is private, if anything is.
    Masked,
    Unmasked,
}

/// One event as all streams write it, and what their filters look at.
#[derive(Debug)]
pub struct Encoded {
    pub event_type: EventType,
    pub record: Option<RecordPath>,
    words: EphemeralText,
    /// The same event with its private fields, of which few have any.
    unmasked: Option<Box<Unmasked>>,
}

/// Bytes in all their forms.
struct EphemeralText {
    named: Bytes,
    /// The same bytes from behind the `event:` line.
    unnamed: Bytes,
    compressed: [OnceLock<Bytes>; 2],
}

/// For the few who may see it, and made when the first of them does.
struct Unmasked {
    event: Event,
    id: Option<Cursor>,
    words: OnceLock<EphemeralText>,
}

/// Without the words, which may be private.
impl std::fmt::Debug for EphemeralText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.named.len())
    }
}

impl std::fmt::Debug for Unmasked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unmasked")
    }
}

impl EphemeralText {
    /// Without an id where the event has no place in a log. The id comes last: a client
    /// that is cut off inside an event must not have its id yet.
    fn of(event: &Event, id: Option<&Cursor>) -> Self {
        let json = serde_json::to_string(&EventJson::of(event)).unwrap_or_default();
        let name = format!("event: {}\n", event.told.event_type);
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let named = Bytes::from(format!("{name}data: {json}\n{id}\n"));
        Self {
            unnamed: named.slice(name.len()..),
            named,
            compressed: [OnceLock::new(), OnceLock::new()],
        }
    }
}

impl Unmasked {
    fn words(&self) -> &EphemeralText {
        let unmasked = || EphemeralText::of(&self.event.unmasked(), self.id.as_ref());
        self.words.get_or_init(unmasked)
    }
}

impl Encoded {
    /// Encodes an event; without an id where it has no place in a log.
    #[must_use]
    pub fn of(event: &Event, id: Option<&Cursor>) -> Self {
        let unmasked = event.told.private.is_some().then(|| {
            let mut event = event.clone();
            // Nobody is sent it.
            event.told.previous = None;
            Unmasked {
                event,
                id: id.cloned(),
                words: OnceLock::new(),
            }
        });
        Self {
            event_type: event.told.event_type.clone(),
            record: event.told.record_path(),
            words: EphemeralText::of(event, id),
            unmasked: unmasked.map(Box::new),
        }
    }

    /// Whether it has private fields.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.unmasked.is_some()
    }

    /// Whose they were when this was made.
    #[must_use]
    pub fn private_to(&self) -> Option<&UserId> {
        let unmasked = self.unmasked.as_deref()?;
        unmasked.event.told.owner.as_ref()
    }

    fn words(&self, sight: Sight) -> &EphemeralText {
        match &self.unmasked {
            Some(unmasked) if sight == Sight::Unmasked => unmasked.words(),
            _ => &self.words,
        }
    }

    /// The bytes for a stream of a reader.
    #[must_use]
    pub fn bytes(&self, encoding: Encoding, sight: Sight) -> &Bytes {
        let words = self.words(sight);
        let plain = if encoding.named {
            &words.named
        } else {
            &words.unnamed
        };
        if encoding.gzip {
            words.compressed[usize::from(encoding.named)].get_or_init(|| gzip::deflated(plain))
        } else {
            plain
        }
    }

    /// The event's JSON for a reader: what stands behind `data: `.
    #[must_use]
    pub fn json(&self, sight: Sight) -> &str {
        let words = self.words(sight);
        let requests_in = words
            .unnamed
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        std::str::from_utf8(requests_in.strip_prefix(b"data: ").unwrap_or(requests_in))
            .unwrap_or_default()
    }

    /// The bytes that it keeps.
    #[must_use]
    pub fn size(&self) -> usize {
        // The event itself and its other words are about as long again each.
        self.words.named.len() * if self.unmasked.is_some() { 3 } else { 1 }
    }
}
