//! The loop of one stream: read after the cursor, write, wait.
//!
//! A stream has a cursor and no queue. While its client does not read, it is not asked for bytes. It
//! catches up when the client reads again. [`parked`](super::parked) or [`body`](super::body) writes
//! its bytes.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::first_state::FirstState;
use super::log::{StreamIdentity, StreamSummary};
use super::open::StreamRequest;
use super::resume::StreamStart;
use super::{Filter, Scope, StreamServices, ending};
use crate::collab::LockSnapshotAnswer;
use crate::directory::StreamWatch;
use crate::fanout::{
    CloseReason, ParkingPlace, Permit, Reader, RingRead, StreamEncoding, StreamProgress,
    Subscription,
};
use crate::sessions::SessionGuard;

mod arrival;
mod catch_up;
mod control;
mod deadlines;
mod ephemerals;
mod event_write;
mod frames_to_merge;
mod guards;
mod lock_snapshot;
mod merged_updates;
mod opening;
mod pacing;
mod place;
mod replay;
mod unsent;

use arrival::NOT_SHOWN;
use deadlines::StreamDeadlines;
use guards::StreamGuards;
use lock_snapshot::PendingLocks;
use pacing::Pacer;
use place::LogPlace;
use replay::StreamReplay;
use unsent::UnsentText;

/// Events that a look at a stream counts.
const MOST_COUNTED: u64 = 10_000;

/// The parts of a new stream.
pub struct StreamParts {
    pub services: Arc<StreamServices>,
    pub request: StreamRequest,
    pub entry: StreamEntry,
    pub start: StreamStart,
    pub state: FirstState,
}

/// The place of a stream among all streams.
pub struct StreamEntry {
    pub reader: Reader,
    /// Ends the stream when the user's brokerage changes, if it was looked up.
    pub watch: Option<StreamWatch>,
    pub permit: Permit,
    /// Ends the stream when its token is revoked.
    pub session: SessionGuard,
    pub summary: StreamSummary,
}

impl StreamEntry {
    /// The stream is open from now on.
    #[must_use]
    pub fn opened(mut self) -> Self {
        self.summary = self.summary.opened();
        self
    }
}

pub struct LogStream {
    services: Arc<StreamServices>,
    reader: Reader,
    guards: StreamGuards,
    scope: Scope,
    filter: Option<Box<Filter>>,
    encoding: StreamEncoding,
    place: LogPlace,
    /// [`NOT_SHOWN`]: it has not shown the state of its brokerage yet.
    next_ephemeral: u64,
    /// Whether the stream is parked, and its socket takes what it gets.
    is_fast: bool,
    unsent: UnsentText,
    /// The snapshot of locks, which is written before any event, also after a reset.
    locks: Option<PendingLocks>,
    replay: StreamReplay,
    /// When events are written, unless each is written at once.
    pacer: Option<Box<Pacer>>,
    deadlines: StreamDeadlines,
    ended: Option<CloseReason>,
    summary: StreamSummary,
}

impl LogStream {
    #[must_use]
    pub fn new(parts: StreamParts) -> Self {
        let unsent = UnsentText::new(opening::text(&parts));
        let StreamParts {
            services,
            request,
            entry,
            start,
            state,
        } = parts;
        let deadlines = StreamDeadlines::new(&services, &request);
        let parameters = request.parameters;
        let locks = match state.locks {
            Some(LockSnapshotAnswer::Waiting(answer)) => Some(PendingLocks::new(answer)),
            // It is a part of the first text.
            Some(LockSnapshotAnswer::Ready(_)) | None => None,
        };
        services.count_opened(entry.reader.figures());
        let stream = Self {
            services,
            reader: entry.reader,
            guards: StreamGuards {
                _permit: entry.permit,
                session: entry.session,
                attendance: state.attendance,
                _watch: entry.watch.map(Box::new),
            },
            scope: parameters.scope,
            filter: (!parameters.filter.is_open()).then(|| Box::new(parameters.filter)),
            encoding: parameters.encoding,
            place: LogPlace::at(start),
            next_ephemeral: state.next_ephemeral.unwrap_or(NOT_SHOWN),
            is_fast: false,
            unsent,
            locks,
            replay: StreamReplay::new(),
            pacer: Pacer::new(parameters.pace),
            deadlines,
            ended: None,
            summary: entry.summary,
        };
        let limit = &stream.services.line_limit;
        stream.summary.log_open(limit, stream.identity());
        stream
    }

    fn identity(&self) -> StreamIdentity<'_> {
        StreamIdentity {
            broker: self.reader.broker(),
            user: self.guards.user(),
            scope: &self.scope,
        }
    }

    /// A random number that the stream keeps.
    fn phase(&self) -> u8 {
        self.summary.stream.as_bytes()[0]
    }

    /// The next bytes to write, or the end of the stream.
    pub(super) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let bytes = self.poll_next(context);
        if let Poll::Ready(Some(bytes)) = &bytes {
            self.summary.bytes += bytes.len() as u64;
        }
        bytes
    }

    /// Whether the socket takes what it gets.
    pub(super) fn set_fast(&mut self, is_fast: bool) {
        self.is_fast = is_fast;
    }

    /// The connection is broken: its client did not end it.
    pub(super) fn broken(&mut self) {
        self.guards.broken();
    }

    /// How far it is, for those who look at it.
    pub(super) fn progress(&self) -> StreamProgress {
        StreamProgress {
            events: self.summary.events,
            bytes: self.summary.bytes,
            behind_events: self.behind_events(),
            is_blocked: false,
        }
    }

    /// The events for this stream after its cursor, counted up to a limit.
    fn behind_events(&self) -> Option<u64> {
        let (mut behind, filter) = (0, self.filter.as_deref());
        let read = self
            .reader
            .read(&self.place.epoch, self.place.position, |frame, _| {
                behind += u64::from(filter.is_none_or(|filter| filter.passes(&frame.encoded)));
                behind < MOST_COUNTED
            });
        match read {
            RingRead::UpTo(_) => Some(behind),
            RingRead::Gone => u64::try_from(self.reader.log_head().1 - self.place.position).ok(),
            RingRead::OtherLog { .. } => None,
        }
    }

    pub(super) fn encoding(&self) -> StreamEncoding {
        self.encoding
    }

    pub(super) fn parking_place(&self) -> ParkingPlace {
        self.reader.subscription().parking_place()
    }

    /// The stream is parked from now on. These bytes can be written together with the head.
    pub(super) fn first_bytes(&mut self) -> Bytes {
        self.is_fast = true;
        let first = self.unsent.take_part().unwrap_or_default();
        self.summary.bytes += first.len() as u64;
        first
    }

    /// The next bytes, from the first of these steps that has some. The order is a contract:
    ///
    /// 1. Unsent text. The client may have a part of it, so nothing comes before the rest.
    /// 2. The end, if `stream:closing` has been returned: nothing comes after it.
    /// 3. A fresh token, which is taken before the stream looks whether its token has expired.
    /// 4. A reason to close, before events: a client whose token has ended gets none, and a stream that always
    ///    has events would not end.
    /// 5. The state of the brokerage, if the stream has not shown it. It decides from where on ephemeral events
    ///    are read, and it may request the snapshot of locks.
    /// 6. The snapshot of locks. Events change it, so they come later.
    /// 7. Events: those of the log, then ephemeral ones. Those of the log put off the next heartbeat.
    /// 8. The warning before the token ends, or a heartbeat, if the stream has nothing else to say. One of two
    ///    heartbeats carries the cursor, which has then moved as far as it can.
    ///
    /// If none has any, the stream waits for what is due next. Steps 5 and 6 wait in the same way, so that a
    /// stream that waits there takes a fresh token, and closes, as any other.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(text) = self.unsent.take_part() {
            return Poll::Ready(Some(text));
        }
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        let now = self.reader.subscription().dispatcher().now();
        if let Some(expires_at) = self.reader.subscription().take_renewal() {
            return Poll::Ready(Some(self.renew(expires_at)));
        }
        if let Some(reason) = self.must_close(now) {
            return Poll::Ready(Some(self.close(reason)));
        }
        if let Some(state) = self.poll_arrival(context) {
            return state.map(Some);
        }
        if let Some(locks) = self.poll_locks(context, now) {
            return locks.map(Some);
        }
        if let Some(bytes) = self.poll_events(context, now) {
            return Poll::Ready(Some(bytes));
        }
        if let Some(text) = self.due_text(now) {
            return Poll::Ready(Some(text));
        }
        self.reader.subscription().wait(context, self.next_due());
        Poll::Pending
    }

    /// The next events, unless they wait for others.
    fn poll_events(&mut self, context: &mut Context<'_>, now: Instant) -> Option<Bytes> {
        if self.waits_for_more(context) {
            return if self.batches() {
                None
            } else {
                self.read_ephemerals()
            };
        }
        let read_version = self.place.read_version;
        let events = self.catch_up(context, now);
        if events.is_some() {
            self.deadlines.put_off_heartbeat(now, self.phase());
        }
        let has_read_all = self.place.read_version != read_version;
        // These have no id, so the heartbeat that moves the client's cursor does not wait for them.
        let events = events.or_else(|| self.read_ephemerals());
        if has_read_all || events.is_none() {
            self.rest();
        }
        events
    }

    fn must_close(&self, now: Instant) -> Option<CloseReason> {
        let is_expired = self.deadlines.is_expired(now);
        let expired = is_expired.then_some(CloseReason::Expired);
        self.reader.subscription().closing().or(expired)
    }

    /// Whether the stream ends as soon as its client has read what was written before.
    pub(super) fn is_to_end(&self) -> bool {
        let expires_at = self.deadlines.expires_at();
        self.ended.is_some() || ending::is_to_end(self.subscription(), expires_at)
    }

    /// Ends the stream, although its client does not read that it does.
    pub(super) fn give_up(&mut self) {
        let reason = self.must_close(self.subscription().dispatcher().now());
        if let Some(reason) = reason.filter(|_| self.ended.is_none()) {
            // The text is for nobody.
            drop(self.close(reason));
        }
    }

    pub(super) fn subscription(&self) -> &Subscription {
        self.reader.subscription()
    }

    /// When the stream ends at the latest.
    pub(super) fn end(&self) -> Instant {
        self.deadlines.end()
    }

    fn next_due(&self) -> Instant {
        let others = self.replay.paused_until().into_iter();
        let others = others.chain(self.locks.as_ref().map(PendingLocks::until));
        others.fold(self.deadlines.next_due(), Instant::min)
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        if let Some(spread) = self.reader.subscription().dispatcher().draining() {
            self.guards.back_within(spread);
        }
        self.services.metrics.streams_open.dec();
        let limit = &self.services.line_limit;
        self.summary.log_end(limit, self.identity(), self.ended);
    }
}
