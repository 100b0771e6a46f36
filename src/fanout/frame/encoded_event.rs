//! The bytes of an event in all encodings, and what filters need of it.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use super::event_bytes::{EventBytes, count};
use super::{StreamEncoding, Visibility, chunks};
use crate::fanout::memory::{LateBytes, allocated, shared};
use crate::log::{Cursor, Event, Private};
use crate::platform::{RecordPath, UserId};

#[derive(Debug)]
pub struct EncodedEvent {
    pub record: Option<RecordPath>,
    masked: EventBytes,
    /// The same event with its private fields. Few events have any.
    unmasked: Option<Box<UnmaskedEvent>>,
    late: Option<LateBytes>,
}

/// Encoded when the first reader with the right asks for it.
struct UnmaskedEvent {
    private: Private,
    owner: Option<UserId>,
    bytes: OnceLock<EventBytes>,
}

/// Without the text, which is private.
impl fmt::Debug for UnmaskedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnmaskedEvent")
    }
}

impl UnmaskedEvent {
    fn of(event: &Event) -> Option<Self> {
        Some(Self {
            private: event.body.private.clone()?,
            owner: event.body.owner.clone(),
            bytes: OnceLock::new(),
        })
    }

    fn size(&self) -> usize {
        let owner = self.owner.as_ref();
        let owner = owner.map_or(0, |owner| shared(owner.as_str().len()));
        allocated(size_of::<Self>()) + shared(self.private.0.get().len()) + owner
    }

    fn late_size(&self) -> usize {
        let bytes = self.bytes.get();
        bytes.map_or(0, |bytes| bytes.size() + bytes.late_size())
    }
}

impl EncodedEvent {
    #[must_use]
    pub fn of(event: &Event, id: Option<&Cursor>) -> Self {
        Self {
            record: event.body.record_path(),
            masked: EventBytes::of(event, id),
            unmasked: UnmaskedEvent::of(event).map(Box::new),
            late: None,
        }
    }

    pub(super) fn count_with(&mut self, late: &LateBytes) {
        self.late = Some(late.clone());
    }

    #[must_use]
    pub fn event_type(&self) -> &str {
        self.masked.event_type()
    }

    #[must_use]
    pub fn has_private_fields(&self) -> bool {
        self.unmasked.is_some()
    }

    /// The record's owner at the time of encoding, if the event has private fields.
    #[must_use]
    pub fn private_to(&self) -> Option<&UserId> {
        self.unmasked.as_deref()?.owner.as_ref()
    }

    fn event_bytes(&self, visibility: Visibility) -> &EventBytes {
        let Some(unmasked) = self.unmasked.as_deref() else {
            return &self.masked;
        };
        if visibility == Visibility::Masked {
            return &self.masked;
        }
        unmasked.bytes.get_or_init(|| {
            let json = unmasked.private.put_into_event(self.masked.json());
            let json = json.as_deref().unwrap_or(self.masked.json());
            let bytes = self.masked.with_json(json);
            count(self.late.as_ref(), bytes.size());
            bytes
        })
    }

    /// The event in the encoding of a stream. The bytes are shared.
    #[must_use]
    pub fn bytes(&self, encoding: StreamEncoding, visibility: Visibility) -> Bytes {
        let bytes = self.event_bytes(visibility);
        let chunk = bytes.chunk(encoding, self.late.as_ref());
        if encoding.chunked {
            chunk.clone()
        } else {
            chunks::content(chunk)
        }
    }

    /// The event's JSON: the text after `data: `.
    #[must_use]
    pub fn json(&self, visibility: Visibility) -> &str {
        self.event_bytes(visibility).json()
    }

    /// The memory that it takes besides the struct itself, in bytes, without encodings that are made
    /// later.
    #[must_use]
    pub fn size(&self) -> usize {
        let record = self.record.as_ref().map_or(0, |record| {
            shared(record.module.as_str().len()) + shared(record.id.as_str().len())
        });
        let unmasked = self.unmasked.as_deref().map_or(0, UnmaskedEvent::size);
        self.masked.size() + record + unmasked
    }
}

impl Drop for EncodedEvent {
    fn drop(&mut self) {
        if let Some(late) = &self.late {
            let unmasked = self.unmasked.as_deref();
            let unmasked = unmasked.map_or(0, UnmaskedEvent::late_size);
            late.remove(self.masked.late_size() + unmasked);
        }
    }
}
