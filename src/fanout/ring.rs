//! The newest frames of one brokerage, with one topic for each audience.
//!
//! A topic is complete after its floor. A stream whose cursor is not below the floors of its
//! topics is served from memory, however old the cursor is.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::frame::Frame;
use super::memory::{LateBytes, TOPIC_BYTES};
use crate::log::{Audience, Epoch};

mod owners;

pub use owners::RecordOwners;

#[derive(Debug, Default)]
struct Topic {
    /// Every frame of this audience after this position is in `frames`.
    floor: i64,
    frames: VecDeque<Arc<Frame>>,
    /// The number of streams that read it. A topic with readers is kept without frames too.
    readers: usize,
}

/// The outcome of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum RingRead {
    /// All frames up to this position were passed on.
    UpTo(i64),
    /// Frames after the cursor are no longer in memory.
    Gone,
    /// The ring has another log, with this head.
    OtherLog { epoch: Epoch, head: i64 },
}

#[derive(Debug)]
pub struct Ring {
    epoch: Epoch,
    head: i64,
    /// The floor of every audience without a topic.
    base: i64,
    topics: FxHashMap<Audience, Topic>,
    order: VecDeque<Arc<Frame>>,
    /// What the frames, and the topics with frames, take.
    bytes: usize,
    late: LateBytes,
    /// The bytes at the last call of [`recount`](Self::recount).
    counted_bytes: usize,
    owners: RecordOwners,
}

impl Ring {
    /// An empty ring at the head of a log.
    #[must_use]
    pub fn new(epoch: Epoch, head: i64) -> Self {
        let (topics, order) = (FxHashMap::default(), VecDeque::new());
        Self {
            epoch,
            head,
            base: head,
            topics,
            order,
            bytes: 0,
            late: LateBytes::default(),
            counted_bytes: 0,
            owners: RecordOwners::new(head),
        }
    }

    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    #[must_use]
    pub fn head(&self) -> i64 {
        self.head
    }

    /// The memory that the frames take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.late.get()
    }

    /// Counts what the frames of this ring get later.
    #[must_use]
    pub fn late_bytes(&self) -> &LateBytes {
        &self.late
    }

    /// The bytes at the last call of [`recount`](Self::recount).
    #[must_use]
    pub fn counted_bytes(&self) -> usize {
        self.counted_bytes
    }

    /// How much `bytes` has grown since the last call. The arithmetic wraps, so that one addition works in
    /// both directions.
    pub fn recount(&mut self) -> usize {
        let bytes = self.bytes();
        bytes.wrapping_sub(std::mem::replace(&mut self.counted_bytes, bytes))
    }

    /// The owners of the records that the frames are about.
    #[must_use]
    pub fn owners(&self) -> &RecordOwners {
        &self.owners
    }

    /// Adds the next frame. Frames come in order and without a gap.
    pub fn push(&mut self, mut frame: Arc<Frame>) {
        debug_assert_eq!(frame.position, self.head + 1);
        self.head = frame.position;
        self.bytes += frame.size();
        let base = self.base;
        let topic = self.topics.entry(frame.audience.clone());
        // All frames of a topic share its audience.
        if let Some(frame) = Arc::get_mut(&mut frame) {
            frame.audience.clone_from(topic.key());
        }
        let topic = topic.or_insert_with(|| Topic {
            floor: base,
            ..Topic::default()
        });
        if topic.frames.is_empty() {
            self.bytes += TOPIC_BYTES;
        }
        topic.frames.push_back(Arc::clone(&frame));
        if let (Some(owner), Some(record)) = (&frame.new_owner, &frame.encoded.record) {
            let owner = owner.as_ref().as_ref();
            self.owners.change(frame.position, record, owner);
        }
        self.order.push_back(frame);
        self.drop_frames_with_unknown_owners();
    }

    fn drop_frames_with_unknown_owners(&mut self) {
        let since = self.owners.since();
        while self
            .order
            .front()
            .is_some_and(|frame| frame.position < since)
        {
            self.pop();
        }
    }

    /// Drops the oldest frames until at most `bytes` are left.
    pub fn shrink_to(&mut self, bytes: usize) {
        while self.bytes() > bytes && !self.order.is_empty() {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        shrink_list(&mut self.order);
        self.bytes -= oldest.size();
        if let Some(topic) = self.topics.get_mut(&oldest.audience) {
            topic.frames.pop_front();
            shrink_list(&mut topic.frames);
            topic.floor = oldest.position;
            if topic.frames.is_empty() {
                self.bytes -= TOPIC_BYTES;
            }
            self.drop_if_unused(&oldest.audience);
        }
    }

    /// Drops every frame and continues at `head`, of this log or of another one.
    pub fn jump(&mut self, epoch: Epoch, head: i64) {
        self.order = VecDeque::new();
        self.bytes = 0;
        self.owners = RecordOwners::new(head);
        (self.epoch, self.head, self.base) = (epoch, head, head);
        self.topics.retain(|_, topic| {
            topic.frames = VecDeque::new();
            topic.floor = head;
            topic.readers > 0
        });
    }

    /// The audiences with readers or frames.
    #[must_use]
    pub fn audiences(&self) -> FxHashSet<Audience> {
        self.topics.keys().cloned().collect()
    }

    /// Adds a reader to these topics.
    pub fn subscribe(&mut self, audiences: &[Audience]) {
        let base = self.base;
        for audience in audiences {
            let topic = self.topics.entry(audience.clone());
            topic
                .or_insert_with(|| Topic {
                    floor: base,
                    ..Topic::default()
                })
                .readers += 1;
        }
    }

    /// The number of streams that read a topic.
    #[must_use]
    pub fn readers(&self, audience: &Audience) -> usize {
        self.topics.get(audience).map_or(0, |topic| topic.readers)
    }

    pub fn unsubscribe(&mut self, audiences: &[Audience]) {
        for audience in audiences {
            if let Some(topic) = self.topics.get_mut(audience) {
                topic.readers = topic.readers.saturating_sub(1);
                self.drop_if_unused(audience);
            }
        }
    }

    fn drop_if_unused(&mut self, audience: &Audience) {
        let Some(topic) = self.topics.get(audience) else {
            return;
        };
        if topic.readers == 0 && topic.frames.is_empty() {
            self.base = self.base.max(topic.floor);
            self.topics.remove(audience);
        }
    }

    /// Passes the frames of `audiences` after `cursor` to `sink`, in order, until it returns `false`
    /// for one that it does not take.
    pub fn read(
        &self,
        epoch: &Epoch,
        audiences: &[Audience],
        cursor: i64,
        mut sink: impl FnMut(&Arc<Frame>) -> bool,
    ) -> RingRead {
        if self.epoch != *epoch {
            return RingRead::OtherLog {
                epoch: self.epoch.clone(),
                head: self.head,
            };
        }
        let floor = |audience| {
            self.topics
                .get(audience)
                .map_or(self.base, |topic| topic.floor)
        };
        if audiences.iter().any(|audience| floor(audience) > cursor) {
            return RingRead::Gone;
        }
        let mut upto = cursor;
        while let Some(frame) = self.next(audiences, upto) {
            if !sink(frame) {
                return RingRead::UpTo(upto);
            }
            upto = frame.position;
        }
        RingRead::UpTo(self.head.max(cursor))
    }

    /// The first frame of any of `audiences` after `cursor`.
    fn next(&self, audiences: &[Audience], cursor: i64) -> Option<&Arc<Frame>> {
        let first = |audience| {
            let frames = &self.topics.get(audience)?.frames;
            // Most often there is no new frame in this topic.
            if frames.back()?.position <= cursor {
                return None;
            }
            frames.get(frames.partition_point(|frame| frame.position <= cursor))
        };
        audiences
            .iter()
            .filter_map(first)
            .min_by_key(|frame| frame.position)
    }
}

/// Gives memory back when most of a list is unused.
fn shrink_list(frames: &mut VecDeque<Arc<Frame>>) {
    if frames.len() <= frames.capacity() / 4 {
        frames.shrink_to(frames.len() * 2);
    }
}

#[cfg(test)]
mod tests;
