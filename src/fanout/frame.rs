//! An event as the bytes of an SSE block: encoded once, shared by all streams.

use std::sync::Arc;

use tokio::time::Instant;

use super::chunks;
use super::memory::{LateBytes, SLOTS_BYTES, allocated, shared};
use crate::log::{Audience, Epoch, Event};
use crate::platform::{DeliveryTrace, UserId};

mod encoded_event;
mod event_bytes;

pub use encoded_event::EncodedEvent;

/// The encoding of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEncoding {
    /// As chunks of HTTP/1.1, which [`chunks`] encodes. Without them, HTTP is the business of whoever
    /// gets the bytes.
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
    /// When the event was committed, if it came to memory at once.
    pub committed_at: Option<Instant>,
    /// Counts the streams that get it, if it belongs to a sampled request.
    pub delivery: Option<Arc<DeliveryTrace>>,
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
            committed_at: None,
            delivery: None,
        }
    }

    /// It came to memory at once, and was committed then.
    #[must_use]
    pub fn committed_at(mut self, at: Instant) -> Self {
        self.committed_at = Some(at);
        self
    }

    /// The streams that get it are counted here.
    #[must_use]
    pub fn counting(mut self, delivery: Option<Arc<DeliveryTrace>>) -> Self {
        self.delivery = delivery;
        self
    }

    /// Counts encodings that are made later.
    #[must_use]
    pub fn counted_by(mut self, late: &LateBytes) -> Self {
        self.encoded.count_with(late);
        self
    }

    /// The memory that it takes in a ring, in bytes, without encodings that are made later. It shares its
    /// audience with its topic.
    #[must_use]
    pub fn size(&self) -> usize {
        let owner = self.new_owner.as_deref();
        let owner = owner.map_or(0, |owner| {
            let name = owner.as_ref().map_or(0, |user| shared(user.as_str().len()));
            name + allocated(size_of::<Option<UserId>>())
        });
        let delivery = self.delivery.as_ref();
        let delivery = delivery.map_or(0, |_| shared(size_of::<DeliveryTrace>()));
        shared(size_of::<Self>()) + SLOTS_BYTES + owner + delivery + self.encoded.size()
    }
}

#[cfg(test)]
mod tests;
