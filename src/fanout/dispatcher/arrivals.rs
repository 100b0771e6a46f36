//! Streams of clients that arrive together with many others. What they show first of the state waits until no more
//! arrive, or for a limit: then all of it is done at once.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Dispatcher, TICK, found};
use crate::fanout::SubscriptionId;
use crate::platform::{LONGEST_RUSH_WAIT, RUSH_END};

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    waiting: RefCell<Vec<SubscriptionId>>,
    /// When they need not wait any more.
    due: Cell<Option<AdmissionTime>>,
    /// Streams with lower numbers do not wait any more.
    admitted: Cell<u64>,
    came: Notify,
}

#[derive(Clone, Copy, Debug)]
struct AdmissionTime {
    /// If nobody else comes.
    quiet: Instant,
    latest: Instant,
}

impl Arrivals {
    pub(super) fn add(&self, id: SubscriptionId, now: Instant) {
        let latest = self.due.get().map(|due| due.latest);
        self.due.set(Some(AdmissionTime {
            quiet: now + RUSH_END,
            latest: latest.unwrap_or(now + LONGEST_RUSH_WAIT),
        }));
        self.waiting.borrow_mut().push(id);
        if latest.is_none() {
            self.came.notify_one();
        }
    }

    pub(super) fn is_admitted(&self, id: SubscriptionId) -> bool {
        id.number < self.admitted.get()
    }

    /// Waits until streams that wait need not any more.
    pub(super) async fn are_due(&self) {
        loop {
            match self.due_at() {
                None => self.came.notified().await,
                Some(due) if due <= Instant::now() => return,
                Some(due) => sleep_until(due).await,
            }
        }
    }

    fn due_at(&self) -> Option<Instant> {
        self.due.get().map(|due| due.quiet.min(due.latest))
    }

    /// Admits all that wait. `next_number` is the number of the next stream.
    pub(super) fn admit(&self, next_number: u64) -> Vec<SubscriptionId> {
        self.admitted.set(next_number);
        self.due.set(None);
        self.waiting.take()
    }
}

impl Dispatcher {
    /// The stream has arrived with many others. It need not be polled before they are admitted.
    pub(in crate::fanout) fn arrive(&self, id: SubscriptionId) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(id.slot) {
            let now = Instant::now();
            slot.is_waiting = true;
            slot.due = (now + LONGEST_RUSH_WAIT + TICK).into();
            self.arrivals.add(id, now);
        }
    }

    pub(in crate::fanout) fn is_admitted(&self, id: SubscriptionId) -> bool {
        self.arrivals.is_admitted(id)
    }

    pub(super) fn admit_arrivals(&self) {
        let mut slots = self.slots.borrow_mut();
        for id in self.arrivals.admit(self.next_number.get()) {
            if let Some(slot) = found(&mut slots, id) {
                slot.is_waiting = false;
                self.queue_slot(id.slot, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn streams_wait_for_the_last_arrival_and_not_for_ever() {
        let (arrivals, began) = (Arrivals::default(), Instant::now());
        let id = |number| SubscriptionId { slot: 0, number };
        let due = |arrivals: &Arrivals| arrivals.due_at().map(|due| due - began);
        assert_eq!(due(&arrivals), None);
        arrivals.add(id(0), began);
        assert_eq!(due(&arrivals), Some(RUSH_END));
        let later = Duration::from_millis(30);
        arrivals.add(id(1), began + later);
        assert_eq!(due(&arrivals), Some(later + RUSH_END));
        arrivals.add(id(2), began + LONGEST_RUSH_WAIT - later);
        assert_eq!(due(&arrivals), Some(LONGEST_RUSH_WAIT));
        assert!(!arrivals.is_admitted(id(2)));
        assert_eq!(arrivals.admit(3), [id(0), id(1), id(2)]);
        assert!(arrivals.is_admitted(id(2)) && !arrivals.is_admitted(id(3)));
        assert_eq!(due(&arrivals), None);
    }
}
