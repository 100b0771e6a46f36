//! The hub: what has just happened, in memory, for the streams of this instance.
//!
//! The follower is the only writer of logs; what is not logged is whispered into the air.
//! Streams read both at their own pace from their own place; nothing is queued for any of
//! them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::log::Audience;
use crate::log::Head;
use crate::platform::BrokerId;

mod connection_limits;
mod contact;
mod dispatcher;
mod encoded;
mod ephemeral_ring;
mod follower;
mod frame;
pub mod gzip;
mod mailbox;
mod replay;
mod ring;

pub use connection_limits::{ConnectionLimits, Permit};
pub use contact::Contact;
pub use dispatcher::TICK;
pub use dispatcher::{Dispatcher, Subscription};
pub use encoded::{Encoded, Encoding, Sight};
pub use ephemeral_ring::{EphemeralEvent, EphemeralRead, EphemeralReader, EphemeralRing};
pub use follower::{Follower, FollowerParts, LogHandle, LogUnavailable, head_in_table};
pub use frame::Frame;
pub use mailbox::SubscriptionId;
pub use mailbox::{CloseReason, Mailbox};
pub use replay::{Missing, Page, ReplayLoader, Replayed};
pub use ring::{Found, Owners, Ring};

/// When memory is full, it is emptied to this share, so that it is not full again at once.
const REFILL_PERCENT: usize = 90;

/// One broker's log in memory.
#[derive(Debug)]
pub struct BrokerageFanout {
    pub id: BrokerId,
    ring: Mutex<Ring>,
    ephemeral_ring: Mutex<EphemeralRing>,
    handles: AtomicUsize,
    /// The hub's count of publishes when this broker last had one.
    used: AtomicU64,
}

impl BrokerageFanout {
    /// The ring, for a moment: never across an await.
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The air, for a moment: never across an await.
    pub fn ephemeral_ring(&self) -> MutexGuard<'_, EphemeralRing> {
        self.ephemeral_ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a broker's log in memory as long as it is held.
#[derive(Debug)]
pub struct BrokerageHandle(Arc<BrokerageFanout>);

impl std::ops::Deref for BrokerageHandle {
    type Target = BrokerageFanout;
    fn deref(&self) -> &BrokerageFanout {
        &self.0
    }
}

impl Clone for BrokerageHandle {
    fn clone(&self) -> Self {
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for BrokerageHandle {
    fn drop(&mut self) {
        self.0.handles.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All logs that are in memory.
#[derive(Debug)]
pub struct Fanout {
    brokers: RwLock<FxHashMap<BrokerId, Arc<BrokerageFanout>>>,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    /// What all rings together may hold.
    budget_bytes: usize,
    bytes: AtomicUsize,
    published: AtomicU64,
}

impl Fanout {
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
    pub fn visit(&self, broker: &BrokerId) -> Option<BrokerageHandle> {
        let brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner);
        let log = brokers.get(broker)?;
        log.handles.fetch_add(1, Ordering::Relaxed);
        Some(BrokerageHandle(Arc::clone(log)))
    }

    /// Takes a log into memory, from its head on.
    pub fn admit(&self, broker: &BrokerId, at: &Head) -> BrokerageHandle {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        let log = brokers.entry(broker.clone()).or_insert_with(|| {
            Arc::new(BrokerageFanout {
                id: broker.clone(),
                ring: Mutex::new(Ring::new(at.epoch.clone(), at.head)),
                ephemeral_ring: Mutex::default(),
                handles: AtomicUsize::new(0),
                used: AtomicU64::new(self.published.load(Ordering::Relaxed)),
            })
        });
        log.handles.fetch_add(1, Ordering::Relaxed);
        BrokerageHandle(Arc::clone(log))
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
    pub fn publish(&self, log: &BrokerageFanout, frames: Vec<Arc<Frame>>) {
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
    pub fn publish_ephemeral(&self, log: &BrokerageFanout, ephemeral: EphemeralEvent) {
        let audiences = ephemeral.audiences().cloned().collect();
        let wakes = ephemeral.wakes();
        log.ephemeral_ring().push(ephemeral);
        if wakes {
            self.wake(&log.id, &audiences);
        }
    }

    /// Wakes whoever may have missed whispers that wake nobody.
    pub fn wake_for_ephemerals(&self, log: &BrokerageFanout, audiences: &FxHashSet<Audience>) {
        self.wake(&log.id, audiences);
    }

    /// Goes on at another place of a log, or in another log: whoever lags reads the table.
    pub fn jump(&self, log: &BrokerageFanout, to: &Head) {
        let audiences = log.ring().audiences();
        self.change(log, |ring| ring.jump(to.epoch.clone(), to.head));
        self.wake(&log.id, &audiences);
    }

    /// Lets logs go that have had no guest now and at the last call.
    pub fn forget_idle(&self, idle: &mut FxHashSet<BrokerId>) {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        let was_idle = std::mem::take(idle);
        brokers.retain(|id, log| {
            if log.handles.load(Ordering::Relaxed) > 0 {
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

    fn change(&self, log: &BrokerageFanout, change: impl FnOnce(&mut Ring)) {
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
