//! Streams that the dispatcher polls itself, because no task of their own does.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::{Dispatcher, Mailbox, Slot, SlotTask};
use crate::fanout::SubscriptionId;

/// A stream that belongs to its subscription's slot, and ends with it.
pub trait ParkedStream {
    /// Writes what there is to write. `Ready`: the stream is over. `is_woken` is whether the waker of
    /// `context` was used since the last call: a socket may be ready, or an answer may have come.
    fn poll(&mut self, context: &mut Context<'_>, is_woken: bool) -> Poll<()>;

    /// How far it is, for those who look at it.
    fn progress(&self) -> StreamProgress;
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamProgress {
    /// Events that were written to it.
    pub events: u64,
    /// Bytes of the body.
    pub bytes: u64,
    /// Events for it that are not written yet. If they are no longer in memory, it is an upper bound.
    pub behind_events: Option<u64>,
    /// Whether its socket takes nothing at the moment.
    pub is_blocked: bool,
}

/// A parked stream in its slot, with its waker.
pub(super) struct Parked {
    stream: Box<dyn ParkedStream>,
    waker: Arc<SlotWaker>,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parked")
    }
}

impl Parked {
    pub(super) fn new(
        stream: Box<dyn ParkedStream>,
        id: SubscriptionId,
        mailbox: &Arc<Mailbox>,
    ) -> Self {
        let waker = SlotWaker {
            mailbox: Arc::clone(mailbox),
            id,
            is_woken: AtomicBool::new(false),
        };
        let waker = Arc::new(waker);
        Self { stream, waker }
    }

    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    pub(super) fn progress(&self) -> StreamProgress {
        self.stream.progress()
    }

    pub(super) fn poll(&mut self) -> Poll<()> {
        // Only a wake after this asks for another poll.
        let is_woken = self.waker.is_woken.swap(false, Ordering::AcqRel);
        let waker = Waker::from(Arc::clone(&self.waker));
        self.stream.poll(&mut Context::from_waker(&waker), is_woken)
    }
}

impl Dispatcher {
    /// Waits until no stream is parked.
    pub async fn until_none_parked(&self) {
        while self.parked.get() > 0 {
            self.none_parked.notified().await;
        }
    }

    pub(super) fn end(&self, parked: Parked) {
        drop(parked);
        self.parked.set(self.parked.get() - 1);
        if self.parked.get() == 0 {
            self.none_parked.notify_one();
        }
    }

    fn end_parked(&self) {
        let slots: Vec<_> = self.slots.borrow().iter().map(|(at, _)| at).collect();
        for at in slots {
            let take = |slot: &mut Slot| std::mem::replace(&mut slot.task, SlotTask::Running);
            let task = self.slots.borrow_mut().get_mut(at).map(take);
            if let Some(SlotTask::Parked(parked)) = task {
                self.end(parked);
            }
        }
    }
}

/// Ends the parked streams together with the dispatcher.
pub(super) struct ParkedGuard(pub(super) Rc<Dispatcher>);

impl Drop for ParkedGuard {
    fn drop(&mut self) {
        self.0.end_parked();
    }
}

/// Puts its slot into the mailbox, at most once until the stream is polled.
struct SlotWaker {
    mailbox: Arc<Mailbox>,
    id: SubscriptionId,
    is_woken: AtomicBool,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.mailbox.wake(self.id);
        }
    }
}
