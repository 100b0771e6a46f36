//! What the mail of other threads changes.

use std::task::Waker;

use slab::Slab;

use super::mailbox::{Closing, Inspection, Mail, Renewal};
use super::{Dispatcher, Slot, SlotTask, SubscriptionId, found};

impl Dispatcher {
    /// Returns whether it woke tasks.
    pub(super) fn deliver(&self, mail: Mail) -> bool {
        self.topics
            .changed(&mail.topics, |topic| self.rounds.start(topic));
        let woken = mail.tasks.into_iter().map(Waker::wake).count();
        let mut slots = self.slots.borrow_mut();
        self.close(&mut slots, mail.closings);
        self.wake(&mut slots, mail.woken);
        self.renew(&mut slots, mail.renewals);
        inspect(&mut slots, mail.inspections);
        if mail.drain.is_some() {
            self.drain.set(mail.drain);
            slots
                .iter_mut()
                .for_each(|(at, slot)| self.queue_slot(at, slot));
        }
        woken > 0
    }

    fn close(&self, slots: &mut Slab<Slot>, closings: Vec<Closing>) {
        for Closing { id, reason } in closings {
            if let Some(slot) = found(slots, id) {
                slot.closing = Some(reason);
                self.queue_slot(id.slot, slot);
            }
        }
    }

    fn wake(&self, slots: &mut Slab<Slot>, woken: Vec<SubscriptionId>) {
        for id in woken {
            if let Some(slot) = found(slots, id) {
                self.queue_slot(id.slot, slot);
            }
        }
    }

    fn renew(&self, slots: &mut Slab<Slot>, renewals: Vec<Renewal>) {
        for Renewal { id, expires_at } in renewals {
            if let Some(slot) = found(slots, id) {
                self.renewals.borrow_mut().insert(id, expires_at);
                self.queue_slot(id.slot, slot);
            }
        }
    }
}

fn inspect(slots: &mut Slab<Slot>, inspections: Vec<Inspection>) {
    for Inspection { ids, answer } in inspections {
        let known = ids.into_iter();
        let known = known.filter_map(|id| match &found(slots, id)?.task {
            SlotTask::Parked(parked) => Some((id, parked.progress())),
            SlotTask::Running | SlotTask::Waiting(_) | SlotTask::Polled => None,
        });
        // Whoever asked may have given up.
        let _ = answer.send(known.collect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::fanout::dispatcher::{CommitPriority, Mailbox};
    use crate::fanout::log_health::LogHealth;
    use crate::fanout::subscription::CloseReason;

    #[test]
    fn closing_an_ended_stream_does_not_close_the_next_one_in_its_slot() {
        let mailbox = Arc::<Mailbox>::default();
        let health = Arc::new(LogHealth::new(Duration::from_mins(1)));
        let dispatcher = Dispatcher::new(mailbox, health, CommitPriority::new(|| false));
        let close = |id| {
            let reason = CloseReason::Evicted;
            dispatcher.deliver(Mail {
                closings: vec![Closing { id, reason }],
                ..Mail::default()
            });
        };
        let former = dispatcher.subscribe().id();
        let next = dispatcher.subscribe();
        assert_eq!(next.id().slot, former.slot);
        close(former);
        assert_eq!(next.closing(), None);
        close(next.id());
        assert_eq!(next.closing(), Some(CloseReason::Evicted));
    }
}
