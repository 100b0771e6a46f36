//! Writes the snapshot of locks before any event. The stream waits for it, not the request, because a
//! request that waits costs more memory than a stream does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::LogStream;
use crate::collab::LOCK_SNAPSHOT_TYPE;
use crate::fanout::CloseReason;
use crate::stream::wire;

impl LogStream {
    /// The snapshot of locks, until it is written. Without it the stream ends, and its client comes
    /// back.
    pub(super) fn poll_locks(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Option<Poll<Bytes>> {
        let answer = match Pin::new(self.locks.as_mut()?).poll(context) {
            Poll::Ready(answer) => answer.ok(),
            Poll::Pending if now < self.locks_until() => {
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
