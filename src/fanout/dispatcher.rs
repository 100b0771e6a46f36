//! One worker thread's streams: who waits for which lane, and when each is due.
//!
//! Everything here stays on its thread. Mail is delivered in rounds: all streams with
//! news are woken, they write, and only then is the next mail taken. So under load a
//! round gathers many events and a stream writes them at once, while a quiet service
//! wakes within the same turn of its loop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;
use slab::Slab;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::contact::Contact;
use super::mailbox::{CloseReason, Mail, Mailbox, SubscriptionId};
use crate::log::Audience;
use crate::platform::BrokerId;

/// How exactly deadlines are kept; a stream ends this much before its token at the most.
pub const TICK: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Slot {
    number: u64,
    waker: Option<Waker>,
    due: Instant,
    closing: Option<CloseReason>,
}

type Topics = FxHashMap<BrokerId, FxHashMap<Audience, Vec<usize>>>;

/// The streams of one worker thread.
#[derive(Debug)]
pub struct Dispatcher {
    mailbox: Arc<Mailbox>,
    slots: RefCell<Slab<Slot>>,
    topics: RefCell<Topics>,
    next_number: Cell<u64>,
    now: Cell<Instant>,
    drain: Cell<Option<Duration>>,
    contact: Arc<Contact>,
    is_cut_off: Cell<bool>,
}

impl Dispatcher {
    /// A switchboard that listens to `mailbox`, and ends its streams when `contact` is lost.
    #[must_use]
    pub fn new(mailbox: Arc<Mailbox>, contact: Arc<Contact>) -> Rc<Self> {
        Rc::new(Self {
            mailbox,
            slots: RefCell::default(),
            topics: RefCell::default(),
            next_number: Cell::new(0),
            now: Cell::new(Instant::now()),
            drain: Cell::new(None),
            contact,
            is_cut_off: Cell::new(false),
        })
    }

    /// Delivers mail until `stop`.
    pub async fn run(self: Rc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.tick(),
                mail = self.mailbox.take() => {
                    self.deliver(mail);
                    // Behind every stream that was just woken.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// The time at the last tick: fresh enough for heartbeats, and free.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Where this thread is told things.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether all streams are to end, and over which window they come back.
    pub fn draining(&self) -> Option<Duration> {
        self.drain.get()
    }

    /// A seat that is woken when any of `audiences` has news.
    pub fn subscribe(
        self: &Rc<Self>,
        broker: BrokerId,
        audiences: Arc<[Audience]>,
    ) -> Subscription {
        let number = self.next_number.replace(self.next_number.get() + 1);
        let slot = Slot {
            number,
            waker: None,
            due: self.now() + TICK,
            closing: None,
        };
        let place = self.slots.borrow_mut().insert(slot);
        let mut topics = self.topics.borrow_mut();
        let topics = topics.entry(broker.clone()).or_default();
        for audience in audiences.iter() {
            topics.entry(audience.clone()).or_default().push(place);
        }
        Subscription {
            dispatcher: Rc::clone(self),
            id: SubscriptionId { place, number },
            broker,
            audiences,
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        self.now.set(now);
        let is_cut_off = self.contact.is_lost();
        self.is_cut_off.set(is_cut_off);
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            if slot.due <= now || is_cut_off {
                wake(slot);
            }
        }
    }

    fn deliver(&self, mail: Mail) {
        let mut slots = self.slots.borrow_mut();
        let topics = self.topics.borrow();
        for (broker, audiences) in &mail.topics {
            let Some(topics) = topics.get(broker) else {
                continue;
            };
            let places = audiences
                .iter()
                .filter_map(|audience| topics.get(audience))
                .flatten();
            places
                .filter_map(|place| {
                    wake(slots.get_mut(*place)?);
                    Some(())
                })
                .for_each(drop);
        }
        for (subscription, reason) in mail.closings {
            if let Some(slot) = slots
                .get_mut(subscription.place)
                .filter(|s| s.number == subscription.number)
            {
                slot.closing = Some(reason);
                wake(slot);
            }
        }
        if mail.drain.is_some() {
            self.drain.set(mail.drain);
            slots.iter_mut().for_each(|(_, slot)| wake(slot));
        }
    }

    fn leave(&self, subscription: &Subscription) {
        self.slots.borrow_mut().remove(subscription.id.place);
        let mut topics = self.topics.borrow_mut();
        let Some(of_broker) = topics.get_mut(&subscription.broker) else {
            return;
        };
        for audience in subscription.audiences.iter() {
            let Some(places) = of_broker.get_mut(audience) else {
                continue;
            };
            if let Some(at) = places
                .iter()
                .position(|place| *place == subscription.id.place)
            {
                places.swap_remove(at);
            }
            if places.is_empty() {
                of_broker.remove(audience);
            }
        }
        if of_broker.is_empty() {
            topics.remove(&subscription.broker);
        }
    }
}

fn wake(slot: &mut Slot) {
    if let Some(waker) = slot.waker.take() {
        waker.wake();
    }
}

/// A stream's place at the switchboard; it is given up when dropped.
#[derive(Debug)]
pub struct Subscription {
    dispatcher: Rc<Dispatcher>,
    id: SubscriptionId,
    broker: BrokerId,
    audiences: Arc<[Audience]>,
}

impl Subscription {
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The switchboard it is at.
    #[must_use]
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Whether this stream was told to end.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        let drained = self.dispatcher.draining().map(|_| CloseReason::Drain);
        let cut_off = self.dispatcher.is_cut_off.get();
        let cut_off = cut_off.then_some(CloseReason::Unavailable);
        let slots = self.dispatcher.slots.borrow();
        slots
            .get(self.id.place)
            .and_then(|slot| slot.closing)
            .or(drained)
            .or(cut_off)
    }

    /// Asks to be woken by news, and at `due` at the latest.
    pub fn wait(&self, context: &Context<'_>, due: Instant) {
        if let Some(slot) = self.dispatcher.slots.borrow_mut().get_mut(self.id.place) {
            slot.due = due;
            match &mut slot.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.dispatcher.clone().leave(self);
    }
}
