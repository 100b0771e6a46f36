//! A stream that arrived with many others. Its user joins presence, and it shows the state of its brokerage, when no
//! more arrive. Until then it has written its head and `stream:ready`, and writes nothing else.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::LogStream;
use crate::stream::wire;

/// The place in the ephemeral ring of a stream without a snapshot. A field of its own would make each stream larger.
pub(super) const NOT_SHOWN: u64 = u64::MAX;

impl LogStream {
    /// What an arrival still needs, if it needs something.
    pub(super) fn poll_arrival(&mut self, context: &mut Context<'_>) -> Option<Poll<Bytes>> {
        if self.next_ephemeral != NOT_SHOWN {
            return None;
        }
        if self.guards.has_joined() {
            self.prepare_state();
            return self.unsent.take_part().map(Poll::Ready);
        }
        if self.reader.subscription().is_admitted() {
            self.guards.join();
            // It is polled again behind all others that wait, so they join before it looks at the state.
            context.waker().wake_by_ref();
        }
        self.reader.subscription().wait(context, self.next_due());
        Some(Poll::Pending)
    }

    /// Both snapshots as one text. Changes after them are events.
    fn prepare_state(&mut self) {
        let mut text = self.presence_text().unwrap_or_default();
        self.add_locks(&mut text);
        if !text.is_empty() {
            self.unsent.put(wire::encoded(self.encoding, &text));
        }
    }
}
