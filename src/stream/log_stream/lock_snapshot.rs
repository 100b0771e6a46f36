//! Writes the snapshot of locks before any event. The stream waits for it, not the request, because a
//! request that waits costs more memory than a stream does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::LogStream;
use crate::collab::{LOCK_SNAPSHOT_TIMEOUT, LOCK_SNAPSHOT_TYPE, LockSnapshot, LockSnapshotAnswer};
use crate::fanout::CloseReason;
use crate::platform::SmallInstant;
use crate::stream::{Filter, wire};

/// A snapshot of locks that was asked for. As an `Option`, it is no larger than one of the answer alone.
pub(super) struct PendingLocks {
    answer: oneshot::Receiver<Arc<LockSnapshot>>,
    /// Without the snapshot, the stream ends then.
    until: SmallInstant,
}

impl PendingLocks {
    pub(super) fn new(answer: oneshot::Receiver<Arc<LockSnapshot>>) -> Self {
        let until = Instant::now() + LOCK_SNAPSHOT_TIMEOUT;
        Self {
            answer,
            until: until.into(),
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.until.get()
    }
}

impl LogStream {
    /// Adds the snapshot of locks for a stream that continues at its place, unless the filter leaves it out. If there is
    /// no recent one, it comes later, before any event.
    pub(super) fn add_locks(&mut self, text: &mut String) {
        let open = Filter::default();
        let filter = self.filter.as_deref().unwrap_or(&open);
        if !filter.passes_type(LOCK_SNAPSHOT_TYPE) {
            return;
        }
        let at = self.place.cursor();
        match self.services.locks.load(self.reader.broker(), &at) {
            LockSnapshotAnswer::Ready(locks) => {
                let json = locks.json(self.reader.audiences(), filter.records());
                wire::add_event(text, self.encoding.named, LOCK_SNAPSHOT_TYPE, &json, None);
            }
            LockSnapshotAnswer::Waiting(answer) => self.locks = Some(PendingLocks::new(answer)),
        }
    }

    /// The snapshot of locks, until it is written. Without it the stream ends, and its client comes
    /// back.
    pub(super) fn poll_locks(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Option<Poll<Bytes>> {
        let locks = self.locks.as_mut()?;
        let answer = match Pin::new(&mut locks.answer).poll(context) {
            Poll::Ready(answer) => answer.ok(),
            Poll::Pending if now < locks.until() => {
                self.reader.subscription().wait(context, self.next_due());
                return Some(Poll::Pending);
            }
            Poll::Pending => None,
        };
        self.locks = None;
        let Some(locks) = answer else {
            return Some(Poll::Ready(self.close(CloseReason::Unavailable)));
        };
        let records = self.filter.as_ref().and_then(|filter| filter.records());
        let json = locks.json(self.reader.audiences(), records);
        let text = wire::event(self.encoding.named, LOCK_SNAPSHOT_TYPE, &json);
        self.unsent.put(wire::encoded(self.encoding, &text));
        self.unsent.take_part().map(Poll::Ready)
    }
}
