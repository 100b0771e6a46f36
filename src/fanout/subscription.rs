//! A stream's subscription to topics.

use std::rc::Rc;
use std::task::Context;

use tokio::time::Instant;

use super::dispatcher::{Dispatcher, ParkedStream};

/// Why the service ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The service stops. Clients come back later and reach another instance.
    Drain,
    Expired,
    /// The token was revoked, or its key removed.
    Revoked,
    /// The user's teams or role have changed. The client comes back and gets a stream of its rights.
    Changed,
    /// The same user has opened a newer stream and had too many.
    Evicted,
    /// An admin has ended the stream.
    Disconnected,
    Overloaded,
    /// The user opens streams too often.
    RateLimited,
    /// The database cannot be reached.
    Unavailable,
}

impl CloseReason {
    /// The reason's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Changed => "changed",
            Self::Evicted => "evicted",
            Self::Disconnected => "disconnected",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A slot of the dispatcher, and a number that no later stream in the same slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionId {
    pub slot: usize,
    /// Unique in this dispatcher.
    pub number: u64,
}

/// Wakes a stream when it is due, and when one of the topics changes to which its [`Reader`](super::Reader) adds it.
/// Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    pub(super) dispatcher: Rc<Dispatcher>,
    pub(super) id: SubscriptionId,
}

impl Subscription {
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    #[must_use]
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Why this stream must end, if it must.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        self.dispatcher.closing(self.id)
    }

    /// The stream has arrived with many others. It is woken when no more arrive, or when it has waited for long.
    pub fn wait_for_others(&self) {
        self.dispatcher.arrive(self.id);
    }

    /// Whether a stream that has arrived with many others waits for them no longer.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.dispatcher.is_admitted(self.id)
    }

    /// The new end of the stream's token, if it has got a fresh one and has not taken it.
    #[must_use]
    pub fn renewal(&self) -> Option<Instant> {
        self.dispatcher.renewal(self.id)
    }

    /// The new end of the stream's token, if it has got a fresh one.
    #[must_use]
    pub fn take_renewal(&self) -> Option<Instant> {
        self.dispatcher.take_renewal(self.id)
    }

    /// The stream will be woken when a topic changes, and at `due` at the latest.
    pub fn wait(&self, context: &Context<'_>, due: Instant) {
        self.dispatcher.wait(self.id, context, due);
    }

    /// Where the stream that contains this subscription can be parked.
    #[must_use]
    pub fn parking_place(&self) -> ParkingPlace {
        ParkingPlace {
            dispatcher: Rc::clone(&self.dispatcher),
            id: self.id,
        }
    }
}

/// The slot of a subscription.
#[derive(Debug)]
pub struct ParkingPlace {
    dispatcher: Rc<Dispatcher>,
    id: SubscriptionId,
}

impl ParkingPlace {
    /// From now on, the dispatcher polls `stream`, which contains the subscription.
    pub fn park(self, stream: Box<dyn ParkedStream>) {
        self.dispatcher.park(self.id, stream);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.dispatcher.unsubscribe(self.id);
    }
}
