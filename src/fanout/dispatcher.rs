//! The streams of one worker thread: which topics each of them subscribes to, and when each is due.
//!
//! The follower writes changed topics into the thread's mailbox. The dispatcher, which never leaves
//! its thread, takes them and wakes the streams. It takes the next mail only after the streams have
//! written. So under load a stream writes many events at once, while without load it is woken in
//! the same turn of the event loop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::log_health::LogHealth;
use super::subscription::{CloseReason, Subscription, SubscriptionId};
use crate::log::Audience;
use crate::platform::BrokerId;

/// The accuracy of deadlines. A stream ends up to this long before its token expires.
pub const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct Mail {
    topics: FxHashMap<BrokerId, FxHashSet<Audience>>,
    closings: Vec<Closing>,
    /// All streams must end. Their clients come back spread over this window.
    drain: Option<Duration>,
}

#[derive(Debug)]
struct Closing {
    id: SubscriptionId,
    reason: CloseReason,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.closings.is_empty() && self.drain.is_none()
    }
}

/// Takes notices for the streams of one worker thread, from any thread.
///
/// It keeps a set of topics and no queue. So its size is bounded by the number of topics and
/// streams, however long the worker thread is busy.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

impl Mailbox {
    pub(super) fn topics_changed(&self, broker: &BrokerId, audiences: &FxHashSet<Audience>) {
        let mut mail = self.mail();
        match mail.topics.get_mut(broker) {
            Some(topics) => topics.extend(audiences.iter().cloned()),
            None => drop(mail.topics.insert(broker.clone(), audiences.clone())),
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// Ends one stream.
    pub fn close(&self, id: SubscriptionId, reason: CloseReason) {
        self.mail().closings.push(Closing { id, reason });
        self.arrived.notify_one();
    }

    pub(super) fn drain(&self, spread: Duration) {
        self.mail().drain = Some(spread);
        self.arrived.notify_one();
    }

    async fn take(&self) -> Mail {
        loop {
            let mail = std::mem::take(&mut *self.mail());
            if !mail.is_empty() {
                return mail;
            }
            self.arrived.notified().await;
        }
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream.
#[derive(Debug)]
struct Slot {
    number: u64,
    waker: Option<Waker>,
    due: Instant,
    closing: Option<CloseReason>,
}

impl Slot {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The slots that subscribe to each topic.
type Topics = FxHashMap<BrokerId, FxHashMap<Audience, Vec<usize>>>;

#[derive(Debug)]
pub struct Dispatcher {
    mailbox: Arc<Mailbox>,
    slots: RefCell<Slab<Slot>>,
    topics: RefCell<Topics>,
    next_number: Cell<u64>,
    now: Cell<Instant>,
    drain: Cell<Option<Duration>>,
    health: Arc<LogHealth>,
    is_log_unavailable: Cell<bool>,
}

impl Dispatcher {
    #[must_use]
    pub fn new(mailbox: Arc<Mailbox>, health: Arc<LogHealth>) -> Rc<Self> {
        Rc::new(Self {
            mailbox,
            slots: RefCell::default(),
            topics: RefCell::default(),
            next_number: Cell::new(0),
            now: Cell::new(Instant::now()),
            drain: Cell::new(None),
            health,
            is_log_unavailable: Cell::new(false),
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
                    // Lets the streams that were woken run first.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// The time at the last tick. It is exact enough for heartbeats and costs no system call.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The window over which clients come back, if all streams must end.
    pub fn draining(&self) -> Option<Duration> {
        self.drain.get()
    }

    /// The subscription wakes its stream when the topic of any of `audiences` changes.
    pub fn subscribe(
        self: &Rc<Self>,
        broker: BrokerId,
        audiences: Arc<[Audience]>,
    ) -> Subscription {
        let number = self.next_number.replace(self.next_number.get() + 1);
        let slot = self.slots.borrow_mut().insert(Slot {
            number,
            waker: None,
            due: self.now() + TICK,
            closing: None,
        });
        let mut topics = self.topics.borrow_mut();
        let topics = topics.entry(broker.clone()).or_default();
        for audience in audiences.iter() {
            topics.entry(audience.clone()).or_default().push(slot);
        }
        Subscription {
            dispatcher: Rc::clone(self),
            id: SubscriptionId { slot, number },
            broker,
            audiences,
        }
    }

    pub(super) fn unsubscribe(&self, subscription: &Subscription) {
        let slot = subscription.id.slot;
        self.slots.borrow_mut().remove(slot);
        let mut topics = self.topics.borrow_mut();
        let Some(of_broker) = topics.get_mut(&subscription.broker) else {
            return;
        };
        for audience in subscription.audiences.iter() {
            let Some(slots) = of_broker.get_mut(audience) else {
                continue;
            };
            if let Some(at) = slots.iter().position(|other| *other == slot) {
                slots.swap_remove(at);
            }
            if slots.is_empty() {
                of_broker.remove(audience);
            }
        }
        if of_broker.is_empty() {
            topics.remove(&subscription.broker);
        }
    }

    pub(super) fn closing(&self, id: SubscriptionId) -> Option<CloseReason> {
        let drain = self.drain.get().map(|_| CloseReason::Drain);
        let unavailable = self.is_log_unavailable.get();
        let unavailable = unavailable.then_some(CloseReason::Unavailable);
        let slots = self.slots.borrow();
        let closing = slots.get(id.slot).and_then(|slot| slot.closing);
        closing.or(drain).or(unavailable)
    }

    pub(super) fn wait(&self, id: SubscriptionId, context: &Context<'_>, due: Instant) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(id.slot) {
            slot.due = due;
            match &mut slot.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        self.now.set(now);
        let is_log_unavailable = self.health.is_unavailable();
        self.is_log_unavailable.set(is_log_unavailable);
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            if slot.due <= now || is_log_unavailable {
                slot.wake();
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
            let subscribers = audiences.iter().filter_map(|audience| topics.get(audience));
            for subscriber in subscribers.flatten() {
                if let Some(slot) = slots.get_mut(*subscriber) {
                    slot.wake();
                }
            }
        }
        for Closing { id, reason } in mail.closings {
            let slot = slots.get_mut(id.slot);
            if let Some(slot) = slot.filter(|slot| slot.number == id.number) {
                slot.closing = Some(reason);
                slot.wake();
            }
        }
        if mail.drain.is_some() {
            self.drain.set(mail.drain);
            slots.iter_mut().for_each(|(_, slot)| slot.wake());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_an_ended_stream_does_not_close_the_next_one_in_its_slot() {
        let mailbox = Arc::<Mailbox>::default();
        let health = Arc::new(LogHealth::new(Duration::from_mins(1)));
        let dispatcher = Dispatcher::new(mailbox, health);
        let broker: BrokerId = "b".parse().unwrap();
        let subscribe = || dispatcher.subscribe(broker.clone(), [Audience::Broker].into());
        let close = |id| {
            let reason = CloseReason::Evicted;
            dispatcher.deliver(Mail {
                closings: vec![Closing { id, reason }],
                ..Mail::default()
            });
        };
        let former = subscribe().id();
        let next = subscribe();
        assert_eq!(next.id().slot, former.slot);
        close(former);
        assert_eq!(next.closing(), None);
        close(next.id());
        assert_eq!(next.closing(), Some(CloseReason::Evicted));
    }
}
