//! The hub: what has just happened, in memory, for the streams of this instance.
//!
//! The follower is the only writer of logs; what is not logged is whispered into the air.
//! Streams read both at their own pace from their own place; nothing is queued for any of
//! them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::event::Audience;
use crate::event_log::Head;
use crate::ids::BrokerId;

pub mod air;
pub mod contact;
pub mod desk;
pub mod encoded;
pub mod frame;
pub mod gzip;
pub mod mailbox;
pub mod ring;
pub mod switchboard;
pub mod tickets;

pub use air::{Air, Heard, Listener, Whisper};
pub use contact::Contact;
pub use encoded::{Encoded, Encoding, Sight};
pub use frame::Frame;
pub use mailbox::{CloseReason, Mailbox};
pub use ring::{Found, Owners, Ring};
pub use switchboard::{Seat, Switchboard};

/// When memory is full, it is emptied to this share, so that it is not full again at once.
const REFILL_PERCENT: usize = 90;

/// One broker's log in memory.
#[derive(Debug)]
pub struct BrokerHub {
    /// Whose log.
    pub id: BrokerId,
    ring: Mutex<Ring>,
    air: Mutex<Air>,
    guests: AtomicUsize,
    /// The hub's count of publishes when this broker last had one.
    used: AtomicU64,
}

impl BrokerHub {
    /// The ring, for a moment: never across an await.
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The air, for a moment: never across an await.
    pub fn air(&self) -> MutexGuard<'_, Air> {
        self.air.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a broker's log in memory as long as it is held.
#[derive(Debug)]
pub struct Guest(Arc<BrokerHub>);

impl std::ops::Deref for Guest {
    type Target = BrokerHub;
    fn deref(&self) -> &BrokerHub {
        &self.0
    }
}

impl Clone for Guest {
    fn clone(&self) -> Self {
        self.0.guests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All logs that are in memory.
#[derive(Debug)]
pub struct Hub {
    brokers: RwLock<FxHashMap<BrokerId, Arc<BrokerHub>>>,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    /// What all rings together may hold.
    budget_bytes: usize,
    bytes: AtomicUsize,
    published: AtomicU64,
}

impl Hub {
    /// A hub that keeps at most `budget_bytes` of frames, over all brokers.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            brokers: RwLock::default(),
            mailboxes: Mutex::default(),
            budget_bytes,
            bytes: AtomicUsize::new(0),
            published: AtomicU64::new(0),
        }
    }

    /// A mailbox for one more worker thread.
    pub fn add_worker(&self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.mailboxes().push(Arc::clone(&mailbox));
        mailbox
    }

    /// The broker's log, if it is in memory.
    pub fn visit(&self, broker: &BrokerId) -> Option<Guest> {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        let log = brokers.get(broker)?;
        log.guests.fetch_add(1, Ordering::Relaxed);
        Some(Guest(Arc::clone(log)))
    }

    /// Takes a log into memory, from its head on.
    pub fn admit(&self, broker: &BrokerId, at: &Head) -> Guest {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        let log = brokers.entry(broker.clone()).or_insert_with(|| {
            Arc::new(BrokerHub {
                id: broker.clone(),
                ring: Mutex::new(Ring::new(at.epoch.clone(), at.head)),
                air: Mutex::default(),
                guests: AtomicUsize::new(0),
                used: AtomicU64::new(self.published.load(Ordering::Relaxed)),
            })
        });
        log.guests.fetch_add(1, Ordering::Relaxed);
        Guest(Arc::clone(log))
    }

    /// Everyone whose log is in memory.
    pub fn active(&self) -> Vec<BrokerId> {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        brokers.keys().cloned().collect()
    }

    /// Frames in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds the next frames of a log and wakes whoever may see them.
    pub fn publish(&self, log: &BrokerHub, frames: Vec<Arc<Frame>>) {
        let audiences = frames.iter().map(|frame| frame.audience.clone()).collect();
        self.change(log, |ring| {
            for frame in frames {
                ring.push(frame);
            }
            ring.shrink_to(self.budget_bytes / 2);
        });
        log.used.store(
            self.published.fetch_add(1, Ordering::Relaxed),
            Ordering::Relaxed,
        );
        self.wake(&log.id, &audiences);
        if self.bytes() > self.budget_bytes {
            self.let_go();
        }
    }

    /// Tells of a change of state, and wakes whoever may hear it.
    pub fn whisper(&self, log: &BrokerHub, whisper: Whisper) {
        let audiences = whisper.audiences().cloned().collect();
        let wakes = whisper.wakes();
        log.air().push(whisper);
        if wakes {
            self.wake(&log.id, &audiences);
        }
    }

    /// Wakes whoever may have missed whispers that wake nobody.
    pub fn wake_for_whispers(&self, log: &BrokerHub, audiences: &FxHashSet<Audience>) {
        self.wake(&log.id, audiences);
    }

    /// Goes on at another place of a log, or in another log: whoever lags reads the table.
    pub fn jump(&self, log: &BrokerHub, to: &Head) {
        let audiences = log.ring().audiences();
        self.change(log, |ring| ring.jump(to.epoch.clone(), to.head));
        self.wake(&log.id, &audiences);
    }

    /// Lets logs go that have had no guest now and at the last call.
    pub fn forget_idle(&self, idle: &mut FxHashSet<BrokerId>) {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        let was_idle = std::mem::take(idle);
        brokers.retain(|id, log| {
            if log.guests.load(Ordering::Relaxed) > 0 {
                return true;
            }
            if was_idle.contains(id) {
                self.bytes.fetch_sub(log.ring().bytes(), Ordering::Relaxed);
                return false;
            }
            idle.insert(id.clone())
        });
    }

    /// Tells every stream to end and to come back spread over `spread`.
    pub fn drain(&self, spread: Duration) {
        self.mailboxes()
            .iter()
            .for_each(|mailbox| mailbox.drain(spread));
    }

    fn change(&self, log: &BrokerHub, change: impl FnOnce(&mut Ring)) {
        let mut ring = log.ring();
        let before = ring.bytes();
        change(&mut ring);
        // Wrapping arithmetic makes one addition of both directions.
        self.bytes
            .fetch_add(ring.bytes().wrapping_sub(before), Ordering::Relaxed);
    }

    fn wake(&self, broker: &BrokerId, audiences: &FxHashSet<Audience>) {
        self.mailboxes()
            .iter()
            .for_each(|mailbox| mailbox.news(broker, audiences));
    }

    /// Empties the rings that were used longest ago until there is room again.
    fn let_go(&self) {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        let mut by_use: Vec<_> = brokers.values().collect();
        by_use.sort_by_key(|log| log.used.load(Ordering::Relaxed));
        for log in by_use {
            if self.bytes() <= self.budget_bytes / 100 * REFILL_PERCENT {
                return;
            }
            self.change(log, |ring| ring.shrink_to(0));
        }
    }

    fn mailboxes(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
