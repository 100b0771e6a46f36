//! Writes the events after the cursor: from memory if it has them, otherwise from the table.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::LogStream;
use crate::fanout::{
    EncodedEvent, MissingEvents, ReplayPage, RingRead, StreamEncoding, Visibility,
};
use crate::stream::{Filter, ResetReason};

/// The limit of one write, unless a single event is larger. It fits the buffer that each connection
/// has, so that no stream's buffer grows.
pub(super) const CHUNK_BYTES: usize = 7 * 1_024;
/// After a failure to read the table, a stream waits this long.
const REPLAY_PAUSE: Duration = Duration::from_secs(1);

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
            self.replay = Some(self.services.replay_loader.load(MissingEvents {
                broker: self.reader.broker().clone(),
                epoch: self.epoch.clone(),
                audiences: Arc::clone(self.reader.audiences()),
                after: self.cursor,
                as_of: self.reader.knows_owners_since(),
            }));
        }
    }

    /// Writes from the page that was requested, or from the one that is not finished.
    fn poll_page(&mut self, context: &mut Context<'_>, now: Instant) -> CatchUpStep {
        let page = match &mut self.replay {
            None => self.page.upgrade(),
            Some(replay) => match Pin::new(replay).poll(context) {
                Poll::Pending => return ControlFlow::Break(None),
                Poll::Ready(result) => {
                    let page = result.ok().and_then(Result::ok);
                    if page.is_none() {
                        self.not_before = Some(now + REPLAY_PAUSE);
                    }
                    page
                }
            },
        };
        self.replay = None;
        match page.and_then(|page| self.write_page(&page, now)) {
            Some(bytes) => ControlFlow::Break(Some(bytes)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Writes from memory. `Continue` means that the events must be read from the table.
    fn read_memory(&mut self, now: Instant) -> CatchUpStep {
        if self.not_before.is_some_and(|at| now < at) {
            return ControlFlow::Break(None);
        }
        self.not_before = None;
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let read = self.reader.read(&self.epoch, self.cursor, |frame, owners| {
            let visibility = owners.visibility(frame, &self.rights);
            chunk.add(filter, &frame.encoded, visibility)
        });
        match read {
            RingRead::Gone => ControlFlow::Continue(()),
            RingRead::UpTo(position) => {
                self.cursor = position;
                ControlFlow::Break(self.finish(chunk))
            }
            RingRead::OtherLog { epoch, head } => {
                ControlFlow::Break(Some(self.reset(ResetReason::Unknown, &epoch.at(head))))
            }
        }
    }

    /// Writes the page's events for this stream, as many as fit one write.
    fn write_page(&mut self, page: &Arc<ReplayPage>, now: Instant) -> Option<Bytes> {
        self.page = Weak::new();
        if page.head.horizon > self.cursor {
            let (epoch, head) = self.reader.log_head();
            return Some(self.reset(ResetReason::Expired, &epoch.at(head)));
        }
        if page.upto <= self.cursor {
            // Memory is ahead of the table or behind it. Wait until they agree.
            self.not_before = Some(now + REPLAY_PAUSE);
            return None;
        }
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let frames = &page.frames;
        let from = frames.partition_point(|frame| frame.position <= self.cursor);
        for frame in &frames[from..] {
            if self.reader.audiences().contains(&frame.audience) {
                let as_of = page.head.head;
                let Some(visibility) = self.reader.visibility(frame, as_of, &self.rights) else {
                    return self.finish(chunk);
                };
                if !chunk.add(filter, &frame.encoded, visibility) {
                    self.page = Arc::downgrade(page);
                    return self.finish(chunk);
                }
            }
            self.cursor = frame.position;
        }
        self.cursor = page.upto;
        self.finish(chunk)
    }

    /// The bytes of the chunk, and their metrics.
    pub(super) fn finish(&mut self, chunk: Chunk) -> Option<Bytes> {
        let events = chunk.events;
        let bytes = chunk.into_bytes()?;
        self.summary.events += events;
        self.services.metrics.delivered.inc_by(events);
        self.services.metrics.deliveries.inc();
        Some(bytes)
    }
}

/// The events of one write.
pub(super) struct Chunk {
    encoding: StreamEncoding,
    /// A single event is passed on without a copy.
    first: Option<Bytes>,
    joined: BytesMut,
    events: u64,
    len: usize,
}

impl Chunk {
    pub(super) fn new(encoding: StreamEncoding) -> Self {
        Self {
            encoding,
            first: None,
            joined: BytesMut::new(),
            events: 0,
            len: 0,
        }
    }

    /// Adds an event, unless the filter leaves it out. Returns `false` when the chunk is full.
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
        if self.len > 0 && self.len + bytes.len() > CHUNK_BYTES {
            return false;
        }
        self.len += bytes.len();
        match self.first.take() {
            None if self.events == 0 => self.first = Some(bytes),
            None => self.joined.extend_from_slice(&bytes),
            Some(first) => {
                self.joined.reserve(CHUNK_BYTES);
                self.joined.extend_from_slice(&first);
                self.joined.extend_from_slice(&bytes);
            }
        }
        self.events += 1;
        true
    }

    fn into_bytes(self) -> Option<Bytes> {
        let joined = || (self.events > 0).then(|| self.joined.freeze());
        self.first.or_else(joined)
    }
}
