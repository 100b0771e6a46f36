//! The streams of one worker thread: which topics each of them subscribes to, and when each is due.
//!
//! The follower writes changed topics into the thread's mailbox. The dispatcher, which never leaves
//! its thread, takes them and serves the streams in slices ([`rounds`]): it polls a parked stream, and
//! wakes the task of any other. What arrives during a round is read by the streams that it has not
//! reached yet, so under load a stream writes many events at once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::log_health::LogHealth;
use super::shared_writes::SharedWrites;
use super::subscription::{CloseReason, Subscription, SubscriptionId};
use crate::log::Audience;
use crate::platform::{BrokerId, SmallInstant};

mod arrivals;
mod commit_priority;
mod delivery;
mod mailbox;
mod parked;
mod rounds;
mod topics;
mod woken_tasks;

use arrivals::Arrivals;
pub use commit_priority::CommitPriority;
pub use mailbox::Mailbox;
use parked::{Parked, ParkedGuard};
pub use parked::{ParkedStream, StreamProgress};
use rounds::Rounds;
use topics::Topics;

/// The accuracy of deadlines. A stream ends up to this long before its token expires.
pub const TICK: Duration = Duration::from_millis(250);

/// One stream.
#[derive(Debug)]
struct Slot {
    number: u64,
    task: SlotTask,
    due: SmallInstant,
    closing: Option<CloseReason>,
    /// Whether it is among the single streams that are to be served.
    is_queued: bool,
    /// Whether it waits for others that arrive with it.
    is_waiting: bool,
}

#[derive(Debug)]
enum SlotTask {
    /// It does not wait: it reads the rings before it does.
    Running,
    Waiting(Waker),
    Parked(Parked),
    /// It is parked, and is being polled.
    Polled,
}

#[derive(Debug)]
pub struct Dispatcher {
    mailbox: Arc<Mailbox>,
    commits: CommitPriority,
    slots: RefCell<Slab<Slot>>,
    topics: Topics,
    rounds: Rounds,
    shared_writes: SharedWrites,
    /// New ends of streams that have not taken theirs. It is empty nearly always.
    renewals: RefCell<FxHashMap<SubscriptionId, Instant>>,
    next_number: Cell<u64>,
    arrivals: Arrivals,
    now: Cell<Instant>,
    /// When the last slice of streams began.
    slice_at: Cell<Instant>,
    drain: Cell<Option<Duration>>,
    health: Arc<LogHealth>,
    is_log_unavailable: Cell<bool>,
    parked: Cell<usize>,
    /// Notified when the last parked stream has ended.
    none_parked: Notify,
}

impl Dispatcher {
    #[must_use]
    pub fn new(mailbox: Arc<Mailbox>, health: Arc<LogHealth>, commits: CommitPriority) -> Rc<Self> {
        Rc::new(Self {
            mailbox,
            commits,
            slots: RefCell::default(),
            topics: Topics::default(),
            rounds: Rounds::default(),
            shared_writes: SharedWrites::default(),
            renewals: RefCell::default(),
            next_number: Cell::new(0),
            arrivals: Arrivals::default(),
            now: Cell::new(Instant::now()),
            slice_at: Cell::new(Instant::now()),
            drain: Cell::new(None),
            health,
            is_log_unavailable: Cell::new(false),
            parked: Cell::new(0),
            none_parked: Notify::new(),
        })
    }

    /// Serves streams until `stop`. Then the parked streams end.
    pub async fn run(self: Rc<Self>, stop: CancellationToken) {
        let guard = ParkedGuard(self);
        let dispatcher = &guard.0;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_busy = !dispatcher.rounds.is_empty();
            let mut has_answers = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => dispatcher.tick(),
                () = dispatcher.arrivals.are_due() => dispatcher.admit_arrivals(),
                mail = dispatcher.mailbox.take(is_busy) => has_answers = dispatcher.deliver(mail),
            }
            if has_answers {
                // A client may wait for its answer before it publishes the next event.
                tokio::task::yield_now().await;
            }
            if !dispatcher.rounds.is_empty() {
                dispatcher.slice_at.set(Instant::now());
            }
            let slice = dispatcher.commits.slice();
            dispatcher
                .rounds
                .serve(slice, |slot| dispatcher.serve(slot));
            let is_done = dispatcher.rounds.is_empty();
            if !is_done {
                dispatcher.commits.go_first();
            }
            // Lets requests, and the streams that were woken, run first.
            if !is_done || !has_answers {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(super) fn shared_writes(&self) -> &SharedWrites {
        &self.shared_writes
    }

    /// The time at the last tick. It is exact enough for heartbeats and costs no system call.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// The time when the last slice of streams began. It is exact enough for measuring how long events take,
    /// and costs one look at the clock for up to 64 streams.
    pub fn slice_at(&self) -> Instant {
        self.slice_at.get()
    }

    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The window over which clients come back, if all streams must end.
    pub fn draining(&self) -> Option<Duration> {
        self.drain.get()
    }

    /// A subscription without topics.
    pub fn subscribe(self: &Rc<Self>) -> Subscription {
        let number = self.next_number.replace(self.next_number.get() + 1);
        let slot = self.slots.borrow_mut().insert(Slot {
            number,
            task: SlotTask::Running,
            due: (self.now() + TICK).into(),
            closing: None,
            is_queued: false,
            is_waiting: false,
        });
        Subscription {
            dispatcher: Rc::clone(self),
            id: SubscriptionId { slot, number },
        }
    }

    pub(super) fn unsubscribe(&self, id: SubscriptionId) {
        self.slots.borrow_mut().remove(id.slot);
        self.take_renewal(id);
    }

    /// From now on, the subscription wakes its stream when the topic of any of `audiences` changes. Returns the list
    /// of the topic if there is only one: its streams share it.
    pub(super) fn add_topics(
        &self,
        id: SubscriptionId,
        broker: &BrokerId,
        audiences: Arc<[Audience]>,
    ) -> Arc<[Audience]> {
        self.topics.add(id.slot, broker, audiences)
    }

    pub(super) fn remove_topics(
        &self,
        id: SubscriptionId,
        broker: &BrokerId,
        audiences: &[Audience],
    ) {
        self.topics
            .remove(id.slot, broker, audiences, |moved| self.queue(moved));
    }

    pub(super) fn closing(&self, id: SubscriptionId) -> Option<CloseReason> {
        let drain = self.drain.get().map(|_| CloseReason::Drain);
        let unavailable = self
            .is_log_unavailable
            .get()
            .then_some(CloseReason::Unavailable);
        let slots = self.slots.borrow();
        let closing = slots.get(id.slot).and_then(|slot| slot.closing);
        closing.or(drain).or(unavailable)
    }

    pub(super) fn renewal(&self, id: SubscriptionId) -> Option<Instant> {
        self.renewals.borrow().get(&id).copied()
    }

    pub(super) fn take_renewal(&self, id: SubscriptionId) -> Option<Instant> {
        self.renewals.borrow_mut().remove(&id)
    }

    pub(super) fn wait(&self, id: SubscriptionId, context: &Context<'_>, due: Instant) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(id.slot) {
            slot.due = due.into();
            match &mut slot.task {
                SlotTask::Waiting(waker) => waker.clone_from(context.waker()),
                task @ SlotTask::Running => *task = SlotTask::Waiting(context.waker().clone()),
                SlotTask::Parked(_) | SlotTask::Polled => {}
            }
        }
    }

    /// From now on, the dispatcher polls this stream. It ends the stream's subscription with it.
    pub(super) fn park(&self, id: SubscriptionId, stream: Box<dyn ParkedStream>) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(id.slot) {
            let parked = Parked::new(stream, id, &self.mailbox);
            if !slot.is_waiting || parked.progress().is_blocked {
                parked.wake();
            }
            slot.task = SlotTask::Parked(parked);
            self.parked.set(self.parked.get() + 1);
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        self.now.set(now);
        let is_log_unavailable = self.health.is_unavailable();
        self.is_log_unavailable.set(is_log_unavailable);
        let now = SmallInstant::from(now);
        for (at, slot) in self.slots.borrow_mut().iter_mut() {
            if slot.due <= now || is_log_unavailable {
                self.queue_slot(at, slot);
            }
        }
    }

    fn queue(&self, at: usize) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(at) {
            self.queue_slot(at, slot);
        }
    }

    fn queue_slot(&self, at: usize, slot: &mut Slot) {
        if !slot.is_queued {
            slot.is_queued = true;
            self.rounds.add_single(at);
        }
    }

    /// Polls the stream in a slot if it is parked, or wakes its task.
    fn serve(&self, at: usize) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(at) else {
            return;
        };
        slot.is_queued = false;
        match std::mem::replace(&mut slot.task, SlotTask::Running) {
            SlotTask::Running | SlotTask::Polled => {}
            SlotTask::Waiting(waker) => waker.wake(),
            SlotTask::Parked(mut parked) => {
                slot.task = SlotTask::Polled;
                // The stream uses its subscription, and ends it when it is dropped.
                drop(slots);
                match parked.poll() {
                    Poll::Pending => {
                        if let Some(slot) = self.slots.borrow_mut().get_mut(at) {
                            slot.task = SlotTask::Parked(parked);
                        }
                    }
                    Poll::Ready(()) => self.end(parked),
                }
            }
        }
    }
}

fn found(slots: &mut Slab<Slot>, id: SubscriptionId) -> Option<&mut Slot> {
    let slot = slots.get_mut(id.slot);
    slot.filter(|slot| slot.number == id.number)
}
