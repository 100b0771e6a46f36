//! The frames that a stream takes from a ring for one write, to merge them when the ring is not locked any more: others wait
//! for it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::merged_updates::{MOST_MERGED_BYTES, MOST_TAKEN_BYTES, is_update};
use crate::fanout::{Frame, StreamEncoding, Visibility};
use crate::platform::RecordPath;
use crate::stream::Filter;

/// Few events are smaller than this part of their text when they are compressed, each by itself.
const MOST_COMPRESSION: usize = 4;

pub(super) struct FramesToMerge {
    pub(super) frames: Vec<FrameToMerge>,
    /// Whether there are more than one write takes.
    pub(super) is_full: bool,
    bytes: usize,
    /// The JSON of frames that are not merged into one before them.
    unmerged_bytes: usize,
    /// With more of them the write is full.
    most_unmerged_bytes: usize,
    /// The place of each record's newest update that is not merged. Other events empty it.
    newest: FxHashMap<RecordPath, usize>,
}

pub(super) struct FrameToMerge {
    pub(super) frame: Arc<Frame>,
    pub(super) visibility: Visibility,
}

impl FrameToMerge {
    fn json_bytes(&self) -> usize {
        self.frame.encoded.json(self.visibility).len()
    }
}

impl FramesToMerge {
    /// For a write of `limit` bytes.
    pub(super) fn of(encoding: StreamEncoding, limit: usize) -> Self {
        let compression = if encoding.gzip { MOST_COMPRESSION } else { 1 };
        Self {
            frames: Vec::new(),
            is_full: false,
            bytes: 0,
            unmerged_bytes: 0,
            most_unmerged_bytes: limit * compression,
            newest: FxHashMap::default(),
        }
    }

    /// Takes a frame, unless the filter leaves it out. Returns `false` if there is no room for it.
    pub(super) fn take(
        &mut self,
        filter: Option<&Filter>,
        frame: &Arc<Frame>,
        visibility: Visibility,
    ) -> bool {
        if filter.is_some_and(|filter| !filter.passes(&frame.encoded)) {
            return true;
        }
        let frame = Arc::clone(frame);
        let taken = FrameToMerge { frame, visibility };
        let (bytes, is_merged) = (taken.json_bytes(), self.merges(&taken));
        self.bytes += bytes;
        if !is_merged {
            self.unmerged_bytes += bytes;
        }
        let is_too_much =
            self.bytes > MOST_TAKEN_BYTES || self.unmerged_bytes > self.most_unmerged_bytes;
        self.is_full = !self.frames.is_empty() && is_too_much;
        if !self.is_full {
            self.keep(taken, is_merged);
        }
        !self.is_full
    }

    /// Whether a frame is merged into one before it. Few that seem to be are not.
    fn merges(&self, taken: &FrameToMerge) -> bool {
        let event = &taken.frame.encoded;
        let record = event.record.as_ref().filter(|_| is_update(event));
        let newest = record.and_then(|record| self.newest.get(record));
        let newest = newest.and_then(|at| self.frames.get(*at));
        newest.is_some_and(|newest| {
            let is_small = |frame: &FrameToMerge| frame.json_bytes() <= MOST_MERGED_BYTES;
            newest.frame.encoded.event_type() == event.event_type()
                && is_small(newest)
                && is_small(taken)
        })
    }

    fn keep(&mut self, taken: FrameToMerge, is_merged: bool) {
        let event = &taken.frame.encoded;
        match &event.record {
            _ if is_merged => {}
            Some(record) if is_update(event) => {
                self.newest.insert(record.clone(), self.frames.len());
            }
            _ => self.newest.clear(),
        }
        self.frames.push(taken);
    }
}
