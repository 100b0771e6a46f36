//! Streams that wait before they write events, so that one write has several of them.
//!
//! Such a stream stays at its cursor meanwhile, like a stream whose client does not read. So it keeps no
//! events, and none is lost when it ends.

use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

use super::LogStream;
use super::merged_updates::is_update;
use crate::fanout::RingRead;
use crate::stream::pace::{StreamPace, UPDATE_INTERVAL};

/// What a waiting stream has to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unread {
    Nothing,
    /// Updates, which may wait for others of the same records.
    Updates,
    /// Other events. Updates before them are written with them, so that the order stays.
    Any,
}

/// What a stream with a pace of its own needs.
pub(super) struct Pacer {
    pace: StreamPace,
    /// Whether the stream has written all there was. What comes next waits.
    is_waiting: bool,
    /// Whether what the client had missed at the start has been written.
    has_caught_up: bool,
    unread: Unread,
    /// The version of the ring that was looked at, and the position up to which.
    seen_version: u64,
    seen: i64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pacer {
    pub(super) fn new(pace: StreamPace) -> Option<Box<Self>> {
        let pacer = Self {
            pace,
            // A stream begins with what its client has missed.
            is_waiting: false,
            has_caught_up: false,
            unread: Unread::Nothing,
            seen_version: 0,
            seen: 0,
            timer: None,
        };
        (!pace.is_immediate()).then(|| Box::new(pacer))
    }

    /// Whether the stream waits on. Otherwise it writes all it has.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> bool {
        let delay = match self.unread {
            Unread::Nothing => return true,
            Unread::Updates => UPDATE_INTERVAL,
            Unread::Any => self.pace.batch,
        };
        if !delay.is_zero() && !self.is_due(Instant::now() + delay, context) {
            return true;
        }
        self.timer = None;
        self.is_waiting = false;
        false
    }

    /// Whether `due` has come, or an earlier time for which the stream waits already.
    fn is_due(&mut self, due: Instant, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(context).is_ready()
    }
}

impl LogStream {
    /// Whether the events of the log wait for others.
    pub(super) fn waits_for_more(&mut self, context: &mut Context<'_>) -> bool {
        let Some(mut pacer) = self.pacer.take_if(|pacer| pacer.is_waiting) else {
            return false;
        };
        self.look(&mut pacer);
        let waits = pacer.poll_wait(context);
        self.pacer = Some(pacer);
        waits
    }

    /// Whether ephemeral events wait together with those of the log.
    pub(super) fn batches(&self) -> bool {
        self.pacer
            .as_ref()
            .is_some_and(|pacer| !pacer.pace.batch.is_zero())
    }

    /// Whether updates of a record are merged in the next write. What a client missed while it was
    /// away is not.
    pub(super) fn merges_updates(&self) -> bool {
        self.pacer
            .as_ref()
            .is_some_and(|pacer| pacer.pace.coalesces && pacer.has_caught_up)
    }

    /// Everything has been written. What comes next waits, if the client wants it to.
    pub(super) fn rest(&mut self) {
        let waits_for_table = self.replay.is_waiting();
        if let Some(pacer) = self.pacer.as_mut().filter(|_| !waits_for_table) {
            pacer.is_waiting = true;
            pacer.has_caught_up = true;
            pacer.unread = Unread::Nothing;
            pacer.seen_version = self.place.read_version;
            pacer.seen = self.place.position;
        }
    }

    /// Looks at what has come since the last look.
    fn look(&mut self, pacer: &mut Pacer) {
        let has_ephemerals = self.reader.next_ephemeral() > self.next_ephemeral;
        if has_ephemerals && !pacer.pace.batch.is_zero() {
            pacer.unread = Unread::Any;
        }
        let version = self.reader.version();
        if version == pacer.seen_version {
            return;
        }
        pacer.seen_version = version;
        if !pacer.pace.coalesces {
            pacer.unread = Unread::Any;
            return;
        }
        let (mut unread, filter) = (pacer.unread, self.filter.as_deref());
        let read = self.reader.read(&self.place.epoch, pacer.seen, |frame, _| {
            if filter.is_none_or(|filter| filter.passes(&frame.encoded)) {
                let is_update = is_update(&frame.encoded);
                unread = unread.max(if is_update {
                    Unread::Updates
                } else {
                    Unread::Any
                });
            }
            true
        });
        match read {
            RingRead::UpTo(position) => pacer.seen = position,
            RingRead::Gone | RingRead::OtherLog { .. } => unread = Unread::Any,
        }
        pacer.unread = unread;
        if unread == Unread::Nothing {
            // Nothing here is for this stream.
            self.place.position = pacer.seen;
            self.place.read_version = version;
        }
    }
}
