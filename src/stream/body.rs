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

use super::open::Services;
use super::reader::Look;
use super::resume::{ResetReason, Start, reset_data};
use super::{Filter, Reader, Scope, wire};
use crate::event::{Cursor, Epoch};
use crate::hub::desk::{Missing, Page, Replayed};
use crate::hub::tickets::Ticket;
use crate::hub::{CloseReason, Encoding, Found, gzip};
use crate::identity::Caller;

mod chunk;
mod greeting;

use chunk::Chunk;

/// After the table could not be read, a stream asks again this much later.
const REPLAY_PAUSE: Duration = Duration::from_secs(1);
/// One heartbeat in so many is an event, which moves an idle client's cursor.
const BEATS_PER_EVENT: u8 = 2;

/// What a stream is made of.
pub struct Parts {
    /// The service around it.
    pub services: Arc<Services>,
    /// Its place in the log's audience.
    pub reader: Reader,
    /// Its admission.
    pub ticket: Ticket,
    /// Who reads.
    pub caller: Caller,
    /// What they see.
    pub scope: Scope,
    /// What they leave out.
    pub filter: Filter,
    /// How they want their bytes.
    pub encoding: Encoding,
    /// Where it starts.
    pub start: Start,
}

/// One open stream.
pub struct StreamBody {
    services: Arc<Services>,
    reader: Reader,
    _ticket: Ticket,
    scope: Box<Scope>,
    filter: Option<Box<Filter>>,
    encoding: Encoding,
    epoch: Epoch,
    cursor: i64,
    /// What is to be written before anything else.
    greeting: Option<Bytes>,
    /// Replay that was asked for.
    asked: Option<oneshot::Receiver<Replayed>>,
    /// The page that is being written; it stays only while others want it too.
    page: Weak<Page>,
    not_before: Option<Instant>,
    next_beat: Instant,
    beats: u8,
    expiring_at: Option<Instant>,
    expires_at: Instant,
    ended: bool,
}

impl StreamBody {
    /// A stream that will first say where it starts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let now = Instant::now();
        let settings = &parts.services.settings;
        let until_end = parts.caller.expires_at - parts.services.clock.now();
        let until_end = Duration::try_from(until_end).unwrap_or_default();
        let notice = settings.expiring_notice().min(until_end / 2);
        let greeting = greeting::of(&parts);
        // The first beat comes early by chance, so that streams opened together spread out.
        let beat = settings.heartbeat();
        let first_beat = parts.services.dice.between(beat / 2, beat);
        parts.services.metrics.streams_open.inc();
        parts.services.metrics.streams_opened.inc();
        Self {
            services: parts.services,
            reader: parts.reader,
            _ticket: parts.ticket,
            scope: Box::new(parts.scope),
            filter: (!parts.filter.is_open()).then(|| Box::new(parts.filter)),
            encoding: parts.encoding,
            epoch: parts.start.epoch,
            cursor: parts.start.position,
            greeting: Some(greeting),
            asked: None,
            page: Weak::new(),
            not_before: None,
            next_beat: now + first_beat,
            beats: 0,
            expiring_at: Some(now + (until_end - notice)),
            expires_at: now + until_end,
            ended: false,
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let now = self.reader.seat().board().now();
        if let Some(reason) = self.must_close(now) {
            return Poll::Ready(Some(self.close(reason)));
        }
        if let Some(bytes) = self.catch_up(context, now) {
            self.next_beat = now + self.services.settings.heartbeat();
            return Poll::Ready(Some(bytes));
        }
        if let Some(words) = self.due_words(now) {
            return Poll::Ready(Some(words));
        }
        self.reader.seat().wait(context, self.next_due());
        Poll::Pending
    }

    /// The next events, if there are any to be had now.
    fn catch_up(&mut self, context: &mut Context<'_>, now: Instant) -> Option<Bytes> {
        loop {
            if let Some(asked) = &mut self.asked {
                let answer = match Pin::new(asked).poll(context) {
                    Poll::Pending => return None,
                    Poll::Ready(answer) => answer,
                };
                self.asked = None;
                let Ok(Ok(page)) = answer else {
                    self.not_before = Some(now + REPLAY_PAUSE);
                    return None;
                };
                if let Some(bytes) = self.write_page(&page, now) {
                    return Some(bytes);
                }
            } else if let Some(page) = self.page.upgrade() {
                if let Some(bytes) = self.write_page(&page, now) {
                    return Some(bytes);
                }
            }
            if self.not_before.is_some_and(|at| now < at) {
                return None;
            }
            self.not_before = None;
            if let Some(outcome) = self.write_memory() {
                return outcome;
            }
            let missing = Missing {
                broker: self.reader.broker().clone(),
                epoch: self.epoch.clone(),
                audiences: Arc::clone(self.reader.audiences()),
                after: self.cursor,
            };
            self.asked = Some(self.services.desk.ask(missing));
        }
    }

    /// What memory has; `None` when the table must be asked.
    fn write_memory(&mut self) -> Option<Option<Bytes>> {
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let look = self
            .reader
            .look(&self.epoch, self.cursor, |frame| chunk.take(filter, frame));
        match look {
            Look::Found(Found::Gone) => None,
            Look::Found(Found::UpTo(position)) => {
                self.cursor = position;
                Some(self.finished(chunk))
            }
            Look::Replaced(epoch, head) => {
                Some(Some(self.reset(ResetReason::Unknown, epoch.at(head))))
            }
        }
    }

    /// What a page of the table has for this stream, as much as fits one write.
    fn write_page(&mut self, page: &Arc<Page>, now: Instant) -> Option<Bytes> {
        self.page = Weak::new();
        if page.head.horizon > self.cursor {
            let (epoch, head) = self.reader.log_head();
            return Some(self.reset(ResetReason::Expired, epoch.at(head)));
        }
        if page.upto <= self.cursor {
            // Memory says there is more, the table says there is not: let one catch up.
            self.not_before = Some(now + REPLAY_PAUSE);
            return None;
        }
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let from = page
            .frames
            .partition_point(|frame| frame.position <= self.cursor);
        let mut upto = page.upto;
        let mut before = self.cursor;
        for frame in &page.frames[from..] {
            let is_mine = self.reader.audiences().contains(&frame.audience);
            if is_mine && !chunk.take(filter, frame) {
                upto = before;
                self.page = Arc::downgrade(page);
                break;
            }
            before = frame.position;
        }
        self.cursor = upto;
        self.finished(chunk)
    }

    fn finished(&self, chunk: Chunk) -> Option<Bytes> {
        let (bytes, events) = chunk.finish()?;
        self.services.metrics.delivered.inc_by(events);
        self.services.metrics.deliveries.inc();
        Some(bytes)
    }

    /// The cursor cannot be served: say so, and go on from the newest position.
    fn reset(&mut self, reason: ResetReason, to: Cursor) -> Bytes {
        self.services
            .metrics
            .resets
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
        let data = reset_data(reason, &to, &self.scope);
        self.cursor = to.position;
        if let Some(epoch) = &to.epoch {
            self.epoch = epoch.clone();
        }
        self.encoded(&wire::control(self.encoding.named, &data, Some(&to)))
    }

    /// A warning before the token ends, or a heartbeat.
    fn due_words(&mut self, now: Instant) -> Option<Bytes> {
        let named = self.encoding.named;
        if self.expiring_at.is_some_and(|at| at <= now) {
            self.expiring_at = None;
            let data = serde_json::json!({
                "type": "stream:expiring",
                "inSeconds": (self.expires_at - now).as_secs(),
            });
            return Some(self.encoded(&wire::control(named, &data, None)));
        }
        if self.next_beat > now {
            return None;
        }
        self.next_beat = now + self.services.settings.heartbeat();
        self.beats = (self.beats + 1) % BEATS_PER_EVENT;
        Some(if self.beats == 0 {
            self.encoded(&wire::heartbeat(named, &self.epoch.at(self.cursor)))
        } else {
            self.encoded(wire::HEARTBEAT)
        })
    }

    fn must_close(&self, now: Instant) -> Option<CloseReason> {
        // The next tick would come too late.
        let is_over = now + crate::hub::switchboard::TICK >= self.expires_at;
        self.reader
            .seat()
            .closing()
            .or(is_over.then_some(CloseReason::Expired))
    }

    fn close(&mut self, reason: CloseReason) -> Bytes {
        self.ended = true;
        let metrics = &self.services.metrics;
        metrics
            .streams_closed
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
        let spread = self
            .reader
            .seat()
            .board()
            .draining()
            .unwrap_or(wire::RETRY_USUAL);
        let retry = self
            .services
            .dice
            .between(wire::RETRY_FLOOR, spread.max(wire::RETRY_FLOOR));
        self.encoded(&wire::closing(self.encoding.named, reason, retry))
    }

    fn next_due(&self) -> Instant {
        let end = self.expires_at - crate::hub::switchboard::TICK;
        [self.expiring_at, self.not_before]
            .into_iter()
            .flatten()
            .fold(self.next_beat.min(end), Instant::min)
    }

    fn encoded(&self, text: &str) -> Bytes {
        wire::encoded(self.encoding, text)
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
        self.get_mut()
            .poll_chunk(context)
            .map(|chunk| chunk.map(Ok))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.services.metrics.streams_open.dec();
    }
}

/// The header that a compressed stream begins with.
fn gzip_header(encoding: Encoding) -> &'static [u8] {
    if encoding.gzip { gzip::HEADER } else { &[] }
}
