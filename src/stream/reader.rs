//! Someone who reads a log here: woken by news of their audiences, served from memory.

use std::rc::Rc;
use std::sync::Arc;

use crate::fanout::{
    BrokerageHandle, Dispatcher, Encoded, EphemeralRead, EphemeralReader, Found, Frame, Owners,
    Sight, Subscription,
};
use crate::log::{Audience, Epoch, Rights};
use crate::platform::BrokerId;

/// A reader's hold on a broker's log; given up when dropped.
#[derive(Debug)]
pub struct Reader {
    handle: BrokerageHandle,
    subscription: Subscription,
    audiences: Arc<[Audience]>,
}

/// What a look into memory gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// See [`Found`].
    Found(Found),
    /// Another log stands in this one's place, at this head.
    Replaced(Epoch, i64),
}

impl Reader {
    /// A reader of these audiences of a log.
    #[must_use]
    pub fn new(
        dispatcher: &Rc<Dispatcher>,
        handle: BrokerageHandle,
        audiences: Arc<[Audience]>,
    ) -> Self {
        handle.ring().subscribe(&audiences);
        let subscription = dispatcher.subscribe(handle.id.clone(), Arc::clone(&audiences));
        Self {
            handle,
            subscription,
            audiences,
        }
    }

    #[must_use]
    pub fn broker(&self) -> &BrokerId {
        &self.handle.id
    }

    #[must_use]
    pub fn audiences(&self) -> &Arc<[Audience]> {
        &self.audiences
    }

    /// Where one waits for news.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Which log it is, and its newest position.
    #[must_use]
    pub fn log_head(&self) -> (Epoch, i64) {
        let ring = self.handle.ring();
        (ring.epoch().clone(), ring.head())
    }

    /// Looks into memory for what comes after `cursor` of the log `epoch`.
    pub fn look(
        &self,
        epoch: &Epoch,
        cursor: i64,
        mut sink: impl FnMut(&Frame, &Owners) -> bool,
    ) -> Look {
        let ring = self.handle.ring();
        if ring.epoch() != epoch {
            return Look::Replaced(ring.epoch().clone(), ring.head());
        }
        let owners = ring.owners();
        Look::Found(ring.read(&self.audiences, cursor, |frame| sink(frame, owners)))
    }

    /// Since when memory knows all changes of owners.
    #[must_use]
    pub fn knows_owners_since(&self) -> i64 {
        self.handle.ring().owners().since()
    }

    /// How a frame of a page is seen, that was read when the log ended `as_of`; `None` where
    /// that was too long ago to say.
    #[must_use]
    pub fn sight(&self, frame: &Frame, as_of: i64, rights: &Rights) -> Option<Sight> {
        if !frame.encoded.is_private() {
            return Some(Sight::Masked);
        }
        let ring = self.handle.ring();
        let owners = ring.owners();
        (owners.since() <= as_of).then(|| owners.sight(frame, rights))
    }

    /// Listens to what has been whispered from the place `from` on.
    pub fn hear(
        &self,
        from: u64,
        has_records: bool,
        sink: impl FnMut(&Encoded) -> bool,
    ) -> EphemeralRead {
        let listener = EphemeralReader {
            audiences: &self.audiences,
            has_records,
        };
        self.handle.ephemeral_ring().hear(listener, from, sink)
    }

    /// The place in the air from which on nothing has been whispered yet.
    #[must_use]
    pub fn air_now(&self) -> u64 {
        self.handle.ephemeral_ring().next()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handle.ring().unsubscribe(&self.audiences);
    }
}
