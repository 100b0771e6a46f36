//! The connection loop: read after the cursor, write, wait.
//!
//! A stream holds a cursor and no queue. While its client does not read, it is not even
//! polled: it falls behind in the log, and catches up when there is room again.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::log::{Account, Whose};
use super::open::StreamServices;
use super::resume::Start;
use super::{Filter, Reader, Scope};
use crate::collab::PresenceGuard;
use crate::collab::{LockSnapshotAnswer, PATIENCE};
use crate::directory::StreamWatch;
use crate::directory::rights;
use crate::fanout::Permit;
use crate::fanout::TICK;
use crate::fanout::{CloseReason, Encoding};
use crate::fanout::{Page, Replayed};
use crate::identity::Caller;
use crate::log::{Epoch, Rights};

mod catch_up;
mod chunk;
mod control;
mod ephemeral;
mod greeting;
mod locked;

/// What a stream is made of.
pub struct Parts {
    pub services: Arc<StreamServices>,
    /// Its place in the log's audience.
    pub reader: Reader,
    pub permit: Permit,
    pub caller: Caller,
    pub scope: Scope,
    pub filter: Filter,
    /// How they want their bytes.
    pub encoding: Encoding,
    pub start: Start,
    /// Who is here, unless that is filtered out.
    pub people: Option<serde_json::Value>,
    /// From where on changes of that are heard.
    pub heard: u64,
    /// What is locked, once it is known, unless that is filtered out.
    pub locks: Option<oneshot::Receiver<LockSnapshotAnswer>>,
    pub attendance: Option<PresenceGuard>,
    /// Ends it when its user's brokerage, which was looked up, changes.
    pub watch: Option<StreamWatch>,
    /// What is remembered for its last line in the log.
    pub account: Account,
}

pub struct StreamBody {
    services: Arc<StreamServices>,
    reader: Reader,
    _ticket: Permit,
    attendance: Option<PresenceGuard>,
    _watch: Option<Box<StreamWatch>>,
    scope: Box<Scope>,
    filter: Option<Box<Filter>>,
    /// What of it they may see: those of the token it was opened with.
    rights: Rights,
    encoding: Encoding,
    epoch: Epoch,
    cursor: i64,
    /// The place in the air up to which whispers were heard.
    heard: u64,
    /// States to be written before anything else.
    greeting: Bytes,
    /// What is locked is told before anything that happens.
    locks: Option<oneshot::Receiver<LockSnapshotAnswer>>,
    locks_until: Instant,
    /// Replay that was asked for.
    asked: Option<oneshot::Receiver<Replayed>>,
    /// The page that is being written; it stays only while others want it too.
    page: Weak<Page>,
    /// The table could not be read; it is not asked again before this.
    not_before: Option<Instant>,
    next_beat: Instant,
    beats: u8,
    expiring_at: Option<Instant>,
    expires_at: Instant,
    ended: Option<CloseReason>,
    account: Account,
}

impl StreamBody {
    /// A stream that will first say where it starts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let greeting = greeting::of(&parts);
        let Parts {
            services,
            reader,
            permit,
            caller,
            scope,
            filter,
            encoding,
            start,
            heard,
            locks,
            attendance,
            watch,
            account,
            ..
        } = parts;
        let now = Instant::now();
        let until_end = Duration::try_from(caller.expires_at - services.clock.now());
        let expires_at = now + until_end.unwrap_or_default();
        let notice = services
            .settings
            .expiring_notice()
            .min((expires_at - now) / 2);
        // The first beat comes early by chance, so that streams opened together spread out.
        let beat = services.settings.heartbeat();
        let next_beat = now + services.dice.between(beat / 2, beat);
        services.metrics.streams_open.inc();
        services.metrics.streams_opened.inc();
        let stream = Self {
            services,
            reader,
            _ticket: permit,
            attendance,
            _watch: watch.map(Box::new),
            scope: Box::new(scope),
            filter: (!filter.is_open()).then(|| Box::new(filter)),
            rights: rights::of(&caller),
            encoding,
            epoch: start.epoch,
            cursor: start.position,
            heard,
            greeting,
            locks,
            locks_until: now + PATIENCE,
            asked: None,
            page: Weak::new(),
            not_before: None,
            next_beat,
            beats: 0,
            expiring_at: expires_at.checked_sub(notice),
            expires_at,
            ended: None,
            account,
        };
        stream
            .account
            .log_open(&stream.services.lines, stream.whose());
        stream
    }

    fn whose(&self) -> Whose<'_> {
        Whose {
            broker: self.reader.broker(),
            user: &self.rights.user,
            scope: &self.scope,
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(words) = self.next_of_greeting() {
            return Poll::Ready(Some(words));
        }
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        let now = self.reader.subscription().dispatcher().now();
        if let Some(reason) = self.must_close(now) {
            return Poll::Ready(Some(self.close(reason)));
        }
        if let Some(locks) = self.poll_locks(context, now) {
            return locks.map(Some);
        }
        if let Some(bytes) = self.catch_up(context, now).or_else(|| self.hear()) {
            self.next_beat = now + self.services.settings.heartbeat();
            return Poll::Ready(Some(bytes));
        }
        if let Some(words) = self.due_words(now) {
            return Poll::Ready(Some(words));
        }
        self.reader.subscription().wait(context, self.next_due());
        Poll::Pending
    }

    /// As much of the greeting as one write carries.
    fn next_of_greeting(&mut self) -> Option<Bytes> {
        let len = self.greeting.len().min(chunk::CHUNK_BYTES);
        let words = self.greeting.split_to(len);
        if self.greeting.is_empty() {
            // What is left of it would keep all of it in memory.
            self.greeting = Bytes::new();
        }
        (len > 0).then_some(words)
    }

    fn must_close(&self, now: Instant) -> Option<CloseReason> {
        // The next tick would come too late.
        let is_over = now + TICK >= self.expires_at;
        self.reader
            .subscription()
            .closing()
            .or(is_over.then_some(CloseReason::Expired))
    }

    fn next_due(&self) -> Instant {
        let end = self.expires_at.checked_sub(TICK).unwrap_or(self.expires_at);
        let patience = self.locks.is_some().then_some(self.locks_until);
        let others = [self.expiring_at, self.not_before, patience];
        others
            .into_iter()
            .flatten()
            .fold(self.next_beat.min(end), Instant::min)
    }
}

impl MessageBody for StreamBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let stream = self.get_mut();
        let chunk = stream.poll_chunk(context);
        if let Poll::Ready(Some(bytes)) = &chunk {
            stream.account.bytes += bytes.len() as u64;
        }
        chunk.map(|chunk| chunk.map(Ok))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let (Some(attendance), Some(spread)) = (
            &mut self.attendance,
            self.reader.subscription().dispatcher().draining(),
        ) {
            attendance.back_within(spread);
        }
        self.services.metrics.streams_open.dec();
        self.account
            .log_end(&self.services.lines, self.whose(), self.ended);
    }
}
