//! What is locked, told before anything that happens. It is waited for here, because a request
//! that waits costs a connection more memory than a stream does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::StreamBody;
use crate::fanout::CloseReason;
use crate::stream::wire;

impl StreamBody {
    /// The snapshot of locks, as long as it is still to be told. A stream that cannot have it
    /// ends, and is tried again.
    pub(super) fn poll_locks(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Option<Poll<Bytes>> {
        let answer = match Pin::new(self.locks.as_mut()?).poll(context) {
            Poll::Ready(answer) => answer.ok().and_then(Result::ok),
            Poll::Pending if now < self.locks_until => {
                self.reader.subscription().wait(context, self.next_due());
                return Some(Poll::Pending);
            }
            Poll::Pending => None,
        };
        self.locks = None;
        let Some(held) = answer else {
            return Some(Poll::Ready(self.close(CloseReason::Unavailable)));
        };
        let records = self.filter.as_ref().and_then(|filter| filter.records());
        let snapshot = held.seen_by(self.reader.audiences(), records);
        let text = wire::control(self.encoding.named, &snapshot, None);
        self.greeting = wire::encoded(self.encoding, &text);
        self.next_of_greeting().map(Poll::Ready)
    }
}
