//! The last write of a worker thread's streams, for streams at the same place.
//!
//! The streams of one topic are most often at the same position, and each would read the same frames
//! and join them to the same bytes.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::StreamEncoding;
use crate::log::{Audience, Epoch};
use crate::platform::DeliveryTrace;

/// Where a stream is, besides its topics.
#[derive(Clone, Copy, Debug)]
pub struct WritePlace<'a> {
    pub epoch: &'a Epoch,
    pub cursor: i64,
    /// The ring must not have changed since the write: there may be more to write now.
    pub version: u64,
    pub encoding: StreamEncoding,
}

/// A write that does not depend on the reader's rights or filter.
#[derive(Clone, Debug)]
pub struct SharedWrite {
    pub bytes: Bytes,
    pub events: u64,
    /// When the oldest of them was committed.
    pub committed_at: Option<Instant>,
    pub upto: i64,
    /// Whether nothing is left to write after it.
    pub is_complete: bool,
    /// Count the streams that get it. Most often there are none.
    pub deliveries: Deliveries,
}

/// The deliveries of sampled requests in one write.
pub type Deliveries = Option<Arc<Vec<Arc<DeliveryTrace>>>>;

#[derive(Debug)]
struct PlacedWrite {
    audiences: Arc<[Audience]>,
    epoch: Epoch,
    cursor: i64,
    version: u64,
    encoding: StreamEncoding,
    write: SharedWrite,
}

#[derive(Debug, Default)]
pub(super) struct SharedWrites(RefCell<Option<PlacedWrite>>);

impl SharedWrites {
    /// `audiences` must be the same list: equal lists of different brokerages are not.
    pub(super) fn find(
        &self,
        audiences: &Arc<[Audience]>,
        place: WritePlace<'_>,
    ) -> Option<SharedWrite> {
        let last = self.0.borrow();
        let last = last.as_ref()?;
        let is_same = last.cursor == place.cursor
            && last.version == place.version
            && last.encoding == place.encoding
            && Arc::ptr_eq(&last.audiences, audiences)
            && last.epoch == *place.epoch;
        is_same.then(|| last.write.clone())
    }

    pub(super) fn put(
        &self,
        audiences: &Arc<[Audience]>,
        place: WritePlace<'_>,
        write: SharedWrite,
    ) {
        *self.0.borrow_mut() = Some(PlacedWrite {
            audiences: Arc::clone(audiences),
            epoch: place.epoch.clone(),
            cursor: place.cursor,
            version: place.version,
            encoding: place.encoding,
            write,
        });
    }
}
