//! What one worker thread is told by others: which lanes have news, which streams must end.
//!
//! It keeps a set, not a queue: however much happens while the worker is busy, the
//! mail is no longer than the lanes and streams there are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use crate::log::Audience;
use crate::platform::BrokerId;

/// Why the service ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The service stops; come back after a while, to whoever is there.
    Drain,
    Expired,
    /// A newer stream of the same user took its place.
    Evicted,
    Overloaded,
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
            Self::Evicted => "evicted",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Where a stream sits: its place in the worker, and its number, so that whoever
/// sits there later is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionId {
    pub place: usize,
    /// The stream's number in this worker.
    pub number: u64,
}

#[derive(Debug, Default)]
pub struct Mail {
    pub topics: FxHashMap<BrokerId, FxHashSet<Audience>>,
    /// Streams that must end.
    pub closings: Vec<(SubscriptionId, CloseReason)>,
    /// All streams must end, and come back spread over this window.
    pub drain: Option<Duration>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.closings.is_empty() && self.drain.is_none()
    }
}

#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

impl Mailbox {
    /// There is news for these audiences of a broker.
    pub fn news(&self, broker: &BrokerId, audiences: &FxHashSet<Audience>) {
        let mut mail = self.mail();
        match mail.topics.get_mut(broker) {
            Some(topics) => topics.extend(audiences.iter().cloned()),
            None => drop(mail.topics.insert(broker.clone(), audiences.clone())),
        }
        drop(mail);
        self.arrived.notify_one();
    }

    pub fn close(&self, subscription: SubscriptionId, reason: CloseReason) {
        self.mail().closings.push((subscription, reason));
        self.arrived.notify_one();
    }

    pub fn drain(&self, spread: Duration) {
        self.mail().drain = Some(spread);
        self.arrived.notify_one();
    }

    /// Waits for mail and takes it.
    pub async fn take(&self) -> Mail {
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
