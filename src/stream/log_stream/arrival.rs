//! A stream that arrived with many others. Its user joins presence, and it shows the state of its brokerage, when no
//! more arrive. Until then it has written its head and `stream:ready`, and writes nothing else.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::LogStream;
use crate::collab::{LOCK_SNAPSHOT_TYPE, LockSnapshotAnswer};
use crate::stream::{Filter, wire};

/// What is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It waits for others.
    Waiting,
    /// Its user has joined. The others join before it looks at the state.
    Joined,
    /// Nothing.
    Complete,
}

impl Arrival {
    pub(super) fn new(is_later: bool) -> Self {
        if is_later {
            Self::Waiting
        } else {
            Self::Complete
        }
    }
}

impl LogStream {
    /// What an arrival still needs, if it needs something.
    pub(super) fn poll_arrival(&mut self, context: &mut Context<'_>) -> Option<Poll<Bytes>> {
        match self.arrival {
            Arrival::Complete => return None,
            Arrival::Joined => {
                self.arrival = Arrival::Complete;
                self.prepare_state();
                return self.next_unsent().map(Poll::Ready);
            }
            Arrival::Waiting if self.reader.subscription().is_admitted() => {
                self.attendance.join(&self.session.teams());
                self.arrival = Arrival::Joined;
                // Behind all others that wait.
                context.waker().wake_by_ref();
            }
            Arrival::Waiting => {}
        }
        self.reader.subscription().wait(context, self.next_due());
        Some(Poll::Pending)
    }

    /// Both snapshots as one text. Changes after them are events.
    fn prepare_state(&mut self) {
        let named = self.encoding.named;
        let mut text = self.presence_text().unwrap_or_default();
        let open = Filter::default();
        let filter = self.filter.as_deref().unwrap_or(&open);
        if filter.passes_type(LOCK_SNAPSHOT_TYPE) {
            let at = self.epoch.at(self.cursor);
            match self.services.locks.load(self.reader.broker(), &at) {
                LockSnapshotAnswer::Ready(locks) => {
                    let json = locks.json(self.reader.audiences(), filter.records());
                    wire::add_event(&mut text, named, LOCK_SNAPSHOT_TYPE, &json, None);
                }
                LockSnapshotAnswer::Waiting(locks) => self.locks = Some(locks),
            }
        }
        if !text.is_empty() {
            self.unsent = Some(Box::new(wire::encoded(self.encoding, &text)));
        }
    }
}
