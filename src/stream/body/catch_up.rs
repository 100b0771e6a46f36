//! From the cursor to the head: memory where it reaches, the table where it does not.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::StreamBody;
use super::chunk::Chunk;
use crate::fanout::Found;
use crate::fanout::{Missing, Page};
use crate::stream::ResetReason;
use crate::stream::reader::Look;

/// After the table could not be read, a stream asks again this much later.
const REPLAY_PAUSE: Duration = Duration::from_secs(1);

/// What to write now, if anything; or that one must look elsewhere.
type Next = ControlFlow<Option<Bytes>>;

impl StreamBody {
    /// The next events, if there are any to be had now.
    pub(super) fn catch_up(&mut self, context: &mut Context<'_>, now: Instant) -> Option<Bytes> {
        loop {
            let next = match self.poll_page(context, now) {
                ControlFlow::Continue(()) => self.read_memory(now),
                found @ ControlFlow::Break(_) => found,
            };
            if let ControlFlow::Break(bytes) = next {
                return bytes;
            }
            self.asked = Some(self.services.desk.ask(Missing {
                broker: self.reader.broker().clone(),
                epoch: self.epoch.clone(),
                audiences: Arc::clone(self.reader.audiences()),
                after: self.cursor,
                as_of: self.reader.knows_owners_since(),
            }));
        }
    }

    /// The page that was asked for or begun.
    fn poll_page(&mut self, context: &mut Context<'_>, now: Instant) -> Next {
        let page = match &mut self.asked {
            None => self.page.upgrade(),
            Some(asked) => match Pin::new(asked).poll(context) {
                Poll::Pending => return ControlFlow::Break(None),
                Poll::Ready(answer) => answer.ok().and_then(Result::ok).or_else(|| {
                    self.not_before = Some(now + REPLAY_PAUSE);
                    None
                }),
            },
        };
        self.asked = None;
        match page.and_then(|page| self.write_page(&page, now)) {
            Some(bytes) => ControlFlow::Break(Some(bytes)),
            None => ControlFlow::Continue(()),
        }
    }

    /// What memory has; `Continue` when the table must be asked.
    fn read_memory(&mut self, now: Instant) -> Next {
        if self.not_before.is_some_and(|at| now < at) {
            return ControlFlow::Break(None);
        }
        self.not_before = None;
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let look = self.reader.look(&self.epoch, self.cursor, |frame, owners| {
            chunk.take(filter, &frame.encoded, owners.sight(frame, &self.rights))
        });
        match look {
            Look::Found(Found::Gone) => ControlFlow::Continue(()),
            Look::Found(Found::UpTo(position)) => {
                self.cursor = position;
                ControlFlow::Break(self.finished(chunk))
            }
            Look::Replaced(epoch, head) => {
                ControlFlow::Break(Some(self.reset(ResetReason::Unknown, &epoch.at(head))))
            }
        }
    }

    /// What a page of the table has for this stream, as much as fits one write.
    fn write_page(&mut self, page: &Arc<Page>, now: Instant) -> Option<Bytes> {
        self.page = Weak::new();
        if page.head.horizon > self.cursor {
            let (epoch, head) = self.reader.log_head();
            return Some(self.reset(ResetReason::Expired, &epoch.at(head)));
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
        for frame in &page.frames[from..] {
            if self.reader.audiences().contains(&frame.audience) {
                let sight = self.reader.sight(frame, page.head.head, &self.rights);
                let Some(sight) = sight else {
                    return self.finished(chunk);
                };
                if !chunk.take(filter, &frame.encoded, sight) {
                    self.page = Arc::downgrade(page);
                    return self.finished(chunk);
                }
            }
            self.cursor = frame.position;
        }
        self.cursor = page.upto;
        self.finished(chunk)
    }

    pub(super) fn finished(&mut self, chunk: Chunk) -> Option<Bytes> {
        let (bytes, events) = chunk.finish()?;
        self.account.events += events;
        self.services.metrics.delivered.inc_by(events);
        self.services.metrics.deliveries.inc();
        Some(bytes)
    }
}
