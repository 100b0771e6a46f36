//! Several frames in one write.

use bytes::{Bytes, BytesMut};

use crate::fanout::{Encoded, Encoding, Sight};
use crate::stream::Filter;

/// What one write carries, unless a single event is larger. It fits the buffer that a
/// connection has anyway, so that no stream's buffer ever grows.
pub(super) const CHUNK_BYTES: usize = 7 * 1_024;

/// The frames of one write.
pub(super) struct Chunk {
    encoding: Encoding,
    /// A single frame is passed on as it is.
    first: Option<Bytes>,
    joined: BytesMut,
    events: u64,
    len: usize,
}

impl Chunk {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            first: None,
            joined: BytesMut::new(),
            events: 0,
            len: 0,
        }
    }

    /// Takes an event, or leaves it out where the filter says so; `false` when it is full.
    pub(super) fn take(&mut self, filter: Option<&Filter>, event: &Encoded, sight: Sight) -> bool {
        if filter.is_some_and(|filter| !filter.passes(event)) {
            return true;
        }
        let bytes = event.bytes(self.encoding, sight);
        if self.len > 0 && self.len + bytes.len() > CHUNK_BYTES {
            return false;
        }
        match self.first.take() {
            None if self.events == 0 => self.first = Some(bytes.clone()),
            None => self.joined.extend_from_slice(bytes),
            Some(first) => {
                self.joined.reserve(CHUNK_BYTES);
                self.joined.extend_from_slice(&first);
                self.joined.extend_from_slice(bytes);
            }
        }
        self.len += bytes.len();
        self.events += 1;
        true
    }

    /// The bytes to write, and how many events they carry.
    pub(super) fn finish(self) -> Option<(Bytes, u64)> {
        let bytes = self
            .first
            .or_else(|| (self.events > 0).then(|| self.joined.freeze()))?;
        Some((bytes, self.events))
    }
}
