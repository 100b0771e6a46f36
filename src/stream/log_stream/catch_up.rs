//! Writes the events after the cursor: from memory if it has them, otherwise from the table.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::LogStream;
use super::event_write::EventWrite;
use super::merged_updates::MergedUpdates;
use crate::fanout::{Deliveries, MissingEvents, ReplayPage, RingRead, SharedWrite};
use crate::stream::ResetReason;

/// The limit of one write, unless a single event is larger. It fits the buffer that each connection
/// of HTTP has, so that no stream's buffer grows. It is also what a slow reader may keep.
pub(super) const WRITE_BYTES: usize = 7 * 1_024;
/// The limit of one write of a parked stream whose socket takes what it gets.
const PARKED_WRITE_BYTES: usize = 32 * 1_024;

/// `Break`: write these bytes, or nothing now. `Continue`: try the next source.
type CatchUpStep = ControlFlow<Option<Bytes>>;

impl LogStream {
    /// The next events, if there are any now.
    pub(super) fn catch_up(&mut self, context: &mut Context<'_>, now: Instant) -> Option<Bytes> {
        loop {
            let step = match self.poll_page(context, now) {
                ControlFlow::Continue(()) => self.read_memory(now),
                done @ ControlFlow::Break(_) => done,
            };
            if let ControlFlow::Break(bytes) = step {
                return bytes;
            }
            let missing = MissingEvents {
                broker: self.reader.broker().clone(),
                epoch: self.place.epoch.clone(),
                audiences: Arc::clone(self.reader.audiences()),
                after: self.place.position,
                as_of: self.reader.knows_owners_since(),
            };
            let answer = self.services.replay_loader.load(missing);
            self.replay.request(answer);
        }
    }

    /// Writes from the page that was requested, or from the one that is not finished.
    fn poll_page(&mut self, context: &mut Context<'_>, now: Instant) -> CatchUpStep {
        let Poll::Ready(page) = self.replay.poll_page(context, now) else {
            return ControlFlow::Break(None);
        };
        match page.and_then(|page| self.write_page(&page, now)) {
            Some(bytes) => ControlFlow::Break(Some(bytes)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Writes from memory. `Continue` means that the events must be read from the table.
    fn read_memory(&mut self, now: Instant) -> CatchUpStep {
        if self.replay.is_paused(now) {
            return ControlFlow::Break(None);
        }
        let version = self.reader.version();
        if version == self.place.read_version {
            return ControlFlow::Break(None);
        }
        if let Some(shared) = self.repeat_shared(version) {
            return ControlFlow::Break(Some(shared));
        }
        let mut write = self.log_write();
        match self.read_ring(&mut write) {
            RingRead::Gone => ControlFlow::Continue(()),
            RingRead::UpTo(position) => {
                let cursor = std::mem::replace(&mut self.place.position, position);
                ControlFlow::Break(self.finish_and_share(write, cursor, version))
            }
            RingRead::OtherLog { epoch, head } => {
                ControlFlow::Break(Some(self.reset(ResetReason::Unknown, &epoch.at(head))))
            }
        }
    }

    fn read_ring(&self, write: &mut EventWrite) -> RingRead {
        let (filter, rights) = (self.filter.as_deref(), self.guards.rights());
        let mut to_merge = write.frames_to_merge();
        let read = self
            .reader
            .read(&self.place.epoch, self.place.position, |frame, owners| {
                let visibility = owners.visibility(frame, &rights);
                match &mut to_merge {
                    Some(frames) => frames.take(filter, frame, visibility),
                    None => write.add_frame(filter, frame, visibility),
                }
            });
        match (to_merge, read) {
            // The ring is not locked any more.
            (Some(frames), RingRead::UpTo(position)) => {
                RingRead::UpTo(write.add_all(&frames, position))
            }
            (_, read) => read,
        }
    }

    /// An empty write of this stream, for events of the log.
    fn log_write(&self) -> EventWrite {
        let (merges, mut write) = (self.merges_updates(), self.event_write());
        write.merged = merges.then(|| MergedUpdates::new(self.encoding, self.place.epoch.clone()));
        write
    }

    /// An empty write of this stream.
    pub(super) fn event_write(&self) -> EventWrite {
        let limit = if self.is_fast {
            PARKED_WRITE_BYTES
        } else {
            WRITE_BYTES
        };
        EventWrite::new(self.encoding, limit)
    }

    /// Whether a write of this stream tells how long its events took: what its client had missed does not, nor
    /// does what waits on purpose.
    fn is_timed(&self) -> bool {
        self.place.has_caught_up() && self.pacer.is_none()
    }

    /// The bytes that the last stream at this place wrote.
    fn repeat_shared(&mut self, version: u64) -> Option<Bytes> {
        if self.filter.is_some() || self.merges_updates() {
            return None;
        }
        let position = self.place.position;
        let place = self.place.of_write(position, version, self.encoding);
        let shared = self.reader.shared_write(place)?;
        let committed_at = shared.committed_at.filter(|_| self.is_timed());
        self.place.position = shared.upto;
        if shared.is_complete {
            self.place.read_version = version;
        }
        self.count_timed(shared.events, committed_at);
        self.count_deliveries(&shared.deliveries);
        Some(shared.bytes)
    }

    /// The bytes of a write that began at `cursor`. Streams at the same place can repeat it.
    fn finish_and_share(
        &mut self,
        mut write: EventWrite,
        cursor: i64,
        version: u64,
    ) -> Option<Bytes> {
        let (events, is_complete) = (write.events, !write.is_full);
        let committed_at = write.committed_at;
        let timed_from = committed_at.filter(|_| self.is_timed());
        let is_shared = write.is_for_all && write.merged.is_none() && self.filter.is_none();
        if is_complete {
            self.place.read_version = version;
        }
        let deliveries = write.deliveries.take();
        let bytes = write.into_bytes()?;
        self.count_timed(events, timed_from);
        self.count_deliveries(&deliveries);
        if is_shared {
            let write = SharedWrite {
                bytes: bytes.clone(),
                events,
                committed_at,
                upto: self.place.position,
                is_complete,
                deliveries,
            };
            let place = self.place.of_write(cursor, version, self.encoding);
            self.reader.share_write(place, write);
        }
        Some(bytes)
    }

    /// Writes the page's events for this stream, as many as fit one write.
    fn write_page(&mut self, page: &Arc<ReplayPage>, now: Instant) -> Option<Bytes> {
        if page.head.horizon > self.place.position {
            let (epoch, head) = self.reader.log_head();
            return Some(self.reset(ResetReason::Expired, &epoch.at(head)));
        }
        if page.upto <= self.place.position {
            // Memory is ahead of the table or behind it. Wait until they agree.
            self.replay.pause(now);
            return None;
        }
        let mut write = self.log_write();
        let (filter, rights) = (self.filter.as_deref(), self.guards.rights());
        let frames = &page.frames;
        let from = frames.partition_point(|frame| frame.position <= self.place.position);
        for frame in &frames[from..] {
            if self.reader.audiences().contains(&frame.audience) {
                let as_of = page.head.position;
                let Some(visibility) = self.reader.visibility(frame, as_of, &rights) else {
                    return self.finish_page(write);
                };
                if !write.add_frame(filter, frame, visibility) {
                    self.replay.begin(page);
                    return self.finish_page(write);
                }
            }
            self.place.position = frame.position;
        }
        self.place.position = page.upto;
        self.finish_page(write)
    }

    /// The bytes of a write of ephemeral events, and their metrics.
    pub(super) fn finish(&mut self, write: EventWrite) -> Option<Bytes> {
        let events = write.events;
        let bytes = write.into_bytes()?;
        self.count_timed(events, None);
        Some(bytes)
    }

    /// The bytes of a write of events from the table, and their metrics.
    fn finish_page(&mut self, write: EventWrite) -> Option<Bytes> {
        let events = write.events;
        let bytes = write.into_bytes()?;
        self.reader.figures().replayed.add(events);
        self.count(events);
        Some(bytes)
    }

    /// Counts a write whose oldest event was committed then, if that tells how long its events took.
    fn count_timed(&mut self, events: u64, committed_at: Option<Instant>) {
        let figures = self.reader.figures();
        match committed_at {
            Some(committed_at) => {
                let now = self.reader.subscription().dispatcher().slice_at();
                let delay = now.saturating_duration_since(committed_at);
                figures.delays.add(delay, events);
            }
            None => figures.untimed.add(events),
        }
        self.count(events);
    }

    /// Counts this stream for the traces of sampled requests.
    fn count_deliveries(&self, deliveries: &Deliveries) {
        let Some(deliveries) = deliveries else {
            return;
        };
        let now = self.reader.subscription().dispatcher().slice_at();
        for delivery in deliveries.iter() {
            delivery.written(now);
        }
    }

    fn count(&mut self, events: u64) {
        self.summary.events += events;
        self.services.metrics.delivered.inc_by(events);
        self.services.metrics.deliveries.inc();
    }
}
