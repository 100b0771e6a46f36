//! The newest frames of one broker, a lane per audience.
//!
//! A lane's floor says how far back it is whole: whoever has everything up to there
//! can be served from memory, however long ago that was.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::frame::Frame;
use crate::log::{Audience, Epoch};

mod owners;

pub use owners::Owners;

#[derive(Debug, Default)]
struct Topic {
    /// Every frame of this audience after this position is here.
    floor: i64,
    frames: VecDeque<Arc<Frame>>,
    /// Streams that read it: a lane with readers is kept, however quiet it is.
    readers: usize,
}

/// What memory had to say.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// All there is up to this position has been handed out.
    UpTo(i64),
    /// What comes after the cursor has left memory.
    Gone,
}

/// The newest frames of one broker.
#[derive(Debug)]
pub struct Ring {
    epoch: Epoch,
    head: i64,
    /// The floor of every audience that has no lane.
    base: i64,
    topics: FxHashMap<Audience, Topic>,
    order: VecDeque<Arc<Frame>>,
    bytes: usize,
    owners: Owners,
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
            owners: Owners::new(head),
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

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who owns the records that its frames are about.
    #[must_use]
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Adds the next frame; frames come in order and without a gap.
    pub fn push(&mut self, frame: Arc<Frame>) {
        debug_assert_eq!(frame.position, self.head + 1);
        self.head = frame.position;
        self.bytes += frame.size();
        let base = self.base;
        let topic = self.topics.entry(frame.audience.clone());
        let topic = topic.or_insert_with(|| Topic {
            floor: base,
            ..Topic::default()
        });
        topic.frames.push_back(Arc::clone(&frame));
        if let (Some(owner), Some(record)) = (&frame.new_owner, &frame.encoded.record) {
            let owner = owner.as_ref().as_ref();
            self.owners.change(frame.position, record, owner);
        }
        self.order.push_back(frame);
        self.let_go_of_what_cannot_be_judged();
    }

    fn let_go_of_what_cannot_be_judged(&mut self) {
        let since = self.owners.since();
        while self
            .order
            .front()
            .is_some_and(|frame| frame.position < since)
        {
            self.pop();
        }
    }

    /// Lets the oldest frames go until at most `bytes` are kept.
    pub fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes && !self.order.is_empty() {
            self.pop();
        }
        if self.order.is_empty() {
            self.order.shrink_to_fit();
        }
    }

    fn pop(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        self.bytes -= oldest.size();
        if let Some(topic) = self.topics.get_mut(&oldest.audience) {
            topic.frames.pop_front();
            topic.floor = oldest.position;
            self.drop_if_unused(&oldest.audience);
        }
    }

    /// Forgets every frame and goes on at `head`, of this log or another one.
    pub fn jump(&mut self, epoch: Epoch, head: i64) {
        self.order = VecDeque::new();
        self.bytes = 0;
        self.owners = Owners::new(head);
        (self.epoch, self.head, self.base) = (epoch, head, head);
        self.topics.retain(|_, topic| {
            topic.frames = VecDeque::new();
            topic.floor = head;
            topic.readers > 0
        });
    }

    /// Every audience that has readers or frames.
    #[must_use]
    pub fn audiences(&self) -> FxHashSet<Audience> {
        self.topics.keys().cloned().collect()
    }

    /// Keeps these lanes for one more reader.
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

    /// Hands out the frames of `audiences` after `cursor`, in order, until `sink` will
    /// not take one and says `false`.
    pub fn read(
        &self,
        audiences: &[Audience],
        cursor: i64,
        mut sink: impl FnMut(&Arc<Frame>) -> bool,
    ) -> Found {
        let floor = |audience| {
            self.topics
                .get(audience)
                .map_or(self.base, |topic| topic.floor)
        };
        if audiences.iter().any(|audience| floor(audience) > cursor) {
            return Found::Gone;
        }
        let mut upto = cursor;
        while let Some(frame) = self.next(audiences, upto) {
            if !sink(frame) {
                return Found::UpTo(upto);
            }
            upto = frame.position;
        }
        Found::UpTo(self.head.max(cursor))
    }

    /// The first frame of any of `audiences` after `cursor`.
    fn next(&self, audiences: &[Audience], cursor: i64) -> Option<&Arc<Frame>> {
        let first = |audience| {
            let frames = &self.topics.get(audience)?.frames;
            // Mostly the newest frame is the only new one.
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

#[cfg(test)]
mod tests;
