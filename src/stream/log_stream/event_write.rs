//! Collects the events of one write.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::frames_to_merge::{FrameToMerge, FramesToMerge};
use super::merged_updates::MergedUpdates;
use crate::fanout::{Deliveries, EncodedEvent, Frame, StreamEncoding, Visibility};
use crate::stream::Filter;

/// The events of one write.
pub(super) struct EventWrite {
    encoding: StreamEncoding,
    limit: usize,
    /// A single event is passed on without a copy.
    first: Option<Bytes>,
    more: Vec<Bytes>,
    pub(super) events: u64,
    /// When the oldest of them was committed, if that is known.
    pub(super) committed_at: Option<Instant>,
    len: usize,
    pub(super) is_full: bool,
    /// Whether it does not depend on the reader's rights.
    pub(super) is_for_all: bool,
    /// Holds the events instead, if updates are merged.
    pub(super) merged: Option<MergedUpdates>,
    pub(super) deliveries: Deliveries,
}

impl EventWrite {
    pub(super) fn new(encoding: StreamEncoding, limit: usize) -> Self {
        Self {
            encoding,
            limit,
            first: None,
            more: Vec::new(),
            events: 0,
            committed_at: None,
            len: 0,
            is_full: false,
            is_for_all: true,
            merged: None,
            deliveries: None,
        }
    }

    /// Adds an event of the log, like [`add`](Self::add).
    pub(super) fn add_frame(
        &mut self,
        filter: Option<&Filter>,
        frame: &Arc<Frame>,
        visibility: Visibility,
    ) -> bool {
        self.is_for_all &= !frame.encoded.has_private_fields();
        let has_space = self.add_content(filter, frame, visibility);
        if let Some(delivery) = &frame.delivery
            && has_space
            && filter.is_none_or(|filter| filter.passes(&frame.encoded))
        {
            let deliveries = self.deliveries.get_or_insert_default();
            Arc::make_mut(deliveries).push(Arc::clone(delivery));
        }
        has_space
    }

    /// Where its events are kept until they are merged, if they are.
    pub(super) fn frames_to_merge(&self) -> Option<FramesToMerge> {
        let merges = self.merged.is_some();
        merges.then(|| FramesToMerge::of(self.encoding, self.limit))
    }

    /// Adds what was read up to `position`. Returns the position up to which there was space.
    pub(super) fn add_all(&mut self, frames: &FramesToMerge, position: i64) -> i64 {
        for FrameToMerge { frame, visibility } in &frames.frames {
            if !self.add_frame(None, frame, *visibility) {
                return frame.position - 1;
            }
        }
        self.is_full |= frames.is_full;
        position
    }

    fn add_content(
        &mut self,
        filter: Option<&Filter>,
        frame: &Arc<Frame>,
        visibility: Visibility,
    ) -> bool {
        let Some(merged) = &mut self.merged else {
            let has_space = self.add(filter, &frame.encoded, visibility);
            if self.events == 1 {
                self.committed_at = self.committed_at.or(frame.committed_at);
            }
            return has_space;
        };
        if filter.is_none_or(|filter| filter.passes(&frame.encoded)) {
            self.is_full = !merged.add(frame, visibility, self.limit);
            self.events = merged.events();
        }
        !self.is_full
    }

    /// Adds an event, unless the filter leaves it out. Returns `false` when the write is full.
    pub(super) fn add(
        &mut self,
        filter: Option<&Filter>,
        event: &EncodedEvent,
        visibility: Visibility,
    ) -> bool {
        if filter.is_some_and(|filter| !filter.passes(event)) {
            return true;
        }
        let bytes = event.bytes(self.encoding, visibility);
        if self.len > 0 && self.len + bytes.len() > self.limit {
            self.is_full = true;
            return false;
        }
        self.len += bytes.len();
        self.events += 1;
        if self.first.is_none() {
            self.first = Some(bytes);
        } else {
            self.more.push(bytes);
        }
        true
    }

    pub(super) fn into_bytes(self) -> Option<Bytes> {
        if let Some(merged) = self.merged {
            return merged.into_bytes();
        }
        let first = self.first?;
        if self.more.is_empty() {
            return Some(first);
        }
        // As large as its content: a stream may keep it for long.
        let mut joined = BytesMut::with_capacity(self.len);
        joined.extend_from_slice(&first);
        self.more
            .iter()
            .for_each(|bytes| joined.extend_from_slice(bytes));
        Some(joined.freeze())
    }
}
