//! The in-memory side of streams: the recent events of each brokerage, and which streams to wake.
//!
//! Only the follower writes logged events. Presence and signals are not logged. They go into a
//! second, short ring. Streams read both rings at their own speed from their own positions; no
//! stream has a queue.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::log::{
    Audience, BrokerSubscription, BrokerSubscriptions, Epoch, Head, PublishingBytes, Rights,
};
use crate::platform::{BrokerId, BrokerageFigures, Figures};

pub mod chunks;
mod connection_limits;
mod dispatcher;
mod ephemeral_ring;
mod eviction;
mod follower;
mod frame;
pub mod gzip;
mod handle;
mod log_health;
mod memory;
mod replay;
mod ring;
mod shared_writes;
mod subscription;

pub use connection_limits::{ConnectionLimits, LimitReached, Permit};
pub use dispatcher::{CommitPriority, Dispatcher, Mailbox, ParkedStream, StreamProgress, TICK};
pub use ephemeral_ring::{EphemeralEvent, EphemeralRead, EphemeralReader, EphemeralRing};
pub use follower::{Follower, FollowerParts, LogHandle, LogUnavailable, head_in_table};
pub use frame::{EncodedEvent, Frame, StreamEncoding, Visibility};
pub use handle::BrokerageHandle;
pub use log_health::LogHealth;
pub use memory::LateBytes;
pub use replay::{MissingEvents, ReplayLoader, ReplayPage, ReplayResult};
pub use ring::{RecordOwners, Ring, RingRead};
pub use shared_writes::{Deliveries, SharedWrite, WritePlace};
pub use subscription::{CloseReason, ParkingPlace, Subscription, SubscriptionId};

/// A brokerage in memory.
#[derive(Debug)]
pub struct BrokerageFanout {
    pub id: BrokerId,
    pub figures: Arc<BrokerageFigures>,
    ring: Mutex<Ring>,
    /// Grows with every change of the ring.
    ring_version: AtomicU64,
    ephemeral_ring: Mutex<EphemeralRing>,
    /// The position after the last ephemeral event that was released.
    next_ephemeral: AtomicU64,
    handles: AtomicUsize,
    /// The value of `Fanout::publish_count` at this brokerage's last publish.
    used: AtomicU64,
    /// While it is in memory, other instances tell what changes in it.
    _notices: BrokerSubscription,
}

impl BrokerageFanout {
    /// Locks the ring. The guard must not be held across an await.
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the ring. The guard must not be held across an await.
    pub fn ephemeral_ring(&self) -> MutexGuard<'_, EphemeralRing> {
        let ring = self.ephemeral_ring.lock();
        ring.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any stream subscribes to this audience.
    pub fn has_readers(&self, audience: &Audience) -> bool {
        self.ring().readers(audience) > 0
    }

    /// Adds an event that streams get with the next one that is released, in one write.
    pub fn add_ephemeral(&self, event: EphemeralEvent) {
        self.ephemeral_ring().push(event);
    }
}

/// All brokerages in memory.
#[derive(Debug)]
pub struct Fanout {
    brokerages: RwLock<FxHashMap<BrokerId, Arc<BrokerageFanout>>>,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    figures: Figures,
    subscriptions: BrokerSubscriptions,
    /// The limit of `bytes`, while nobody publishes.
    budget_bytes: usize,
    publishing: PublishingBytes,
    /// The bytes of all frames in all rings.
    bytes: AtomicUsize,
    publish_count: AtomicU64,
}

impl Fanout {
    /// Keeps at most `budget_bytes` of frames over all brokerages.
    #[must_use]
    pub fn new(
        budget_bytes: usize,
        publishing: PublishingBytes,
        figures: Figures,
        subscriptions: BrokerSubscriptions,
    ) -> Self {
        Self {
            brokerages: RwLock::default(),
            mailboxes: Mutex::default(),
            figures,
            subscriptions,
            budget_bytes,
            publishing,
            bytes: AtomicUsize::new(0),
            publish_count: AtomicU64::new(0),
        }
    }

    /// A mailbox for one more worker thread.
    pub fn add_worker(&self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.mailboxes().push(Arc::clone(&mailbox));
        mailbox
    }

    /// Changed topics and streams that wait for worker threads.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let mailboxes = self.mailboxes();
        mailboxes.iter().map(|mailbox| mailbox.waiting()).sum()
    }

    /// The brokerage, if it is in memory.
    pub fn get(&self, broker: &BrokerId) -> Option<BrokerageHandle> {
        let brokerages = self.brokerages.read();
        let brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        brokerages.get(broker).map(BrokerageHandle::new)
    }

    /// Takes a brokerage into memory. Its ring starts at `head`.
    pub fn insert(&self, broker: &BrokerId, head: &Head) -> BrokerageHandle {
        let brokerages = self.brokerages.write();
        let mut brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let brokerage = brokerages.entry(broker.clone()).or_insert_with(|| {
            Arc::new(BrokerageFanout {
                id: broker.clone(),
                figures: self.figures.of(broker),
                ring: Mutex::new(Ring::new(head.epoch.clone(), head.position)),
                ring_version: AtomicU64::new(1),
                ephemeral_ring: Mutex::default(),
                next_ephemeral: AtomicU64::new(0),
                handles: AtomicUsize::new(0),
                used: AtomicU64::new(self.publish_count.load(Ordering::Relaxed)),
                _notices: self.subscriptions.subscribe(broker),
            })
        });
        BrokerageHandle::new(brokerage)
    }

    /// All brokerages in memory.
    pub fn active(&self) -> Vec<BrokerId> {
        let brokerages = self.brokerages.read();
        let brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        brokerages.keys().cloned().collect()
    }

    /// The brokerages that streams read, and the heads of their logs in memory.
    pub fn heads_in_use(&self) -> Vec<(BrokerId, i64)> {
        let brokerages = self.brokerages.read();
        let brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let in_use = brokerages.values();
        let in_use = in_use.filter(|log| log.handles.load(Ordering::Relaxed) > 0);
        in_use
            .map(|log| (log.id.clone(), log.ring().head()))
            .collect()
    }

    /// Adds the next frames of a log and wakes the streams of their topics.
    pub fn publish(&self, brokerage: &BrokerageFanout, frames: Vec<Arc<Frame>>) {
        let audiences = frames.iter().map(|frame| frame.audience.clone()).collect();
        self.change(brokerage, |ring| {
            for frame in frames {
                ring.push(frame);
            }
            ring.shrink_to(self.limit() / 2);
        });
        let count = self.publish_count.fetch_add(1, Ordering::Relaxed);
        brokerage.used.store(count, Ordering::Relaxed);
        self.wake(&brokerage.id, &audiences);
        self.make_room();
    }

    /// Publishes an event that is not logged to the streams of its topics.
    pub fn publish_ephemeral(&self, brokerage: &BrokerageFanout, event: EphemeralEvent) {
        let audiences = event.audiences().cloned().collect();
        let wakes = event.wakes();
        brokerage.add_ephemeral(event);
        if wakes {
            self.release_ephemerals(brokerage, &audiences);
        }
    }

    /// Publishes the events that were added, to streams of these topics.
    pub fn release_ephemerals(&self, brokerage: &BrokerageFanout, audiences: &FxHashSet<Audience>) {
        let next = brokerage.ephemeral_ring().next();
        // Another thread may have released later ones.
        brokerage.next_ephemeral.fetch_max(next, Ordering::Release);
        self.wake(&brokerage.id, audiences);
    }

    /// Empties the ring and continues at `head`, of this log or of another one. Streams that are
    /// behind it read the table.
    pub fn jump(&self, brokerage: &BrokerageFanout, head: &Head) {
        let audiences = brokerage.ring().audiences();
        self.change(brokerage, |ring| {
            ring.jump(head.epoch.clone(), head.position);
        });
        self.wake(&brokerage.id, &audiences);
    }

    /// Ends every stream. The clients come back spread over `spread`.
    pub fn drain(&self, spread: Duration) {
        for mailbox in self.mailboxes().iter() {
            mailbox.drain(spread);
        }
    }

    fn change(&self, brokerage: &BrokerageFanout, change: impl FnOnce(&mut Ring)) {
        let mut ring = brokerage.ring();
        change(&mut ring);
        self.bytes.fetch_add(ring.recount(), Ordering::Relaxed);
        brokerage.ring_version.fetch_add(1, Ordering::Release);
    }

    fn wake(&self, broker: &BrokerId, audiences: &FxHashSet<Audience>) {
        for mailbox in self.mailboxes().iter() {
            mailbox.topics_changed(broker, audiences);
        }
    }

    fn mailboxes(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        let mailboxes = self.mailboxes.lock();
        mailboxes.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a brokerage's rings for one stream, which is woken when one of its topics changes.
#[derive(Debug)]
pub struct Reader {
    handle: BrokerageHandle,
    subscription: Subscription,
    audiences: Arc<[Audience]>,
}

impl Reader {
    #[must_use]
    pub fn new(
        dispatcher: &Rc<Dispatcher>,
        handle: BrokerageHandle,
        audiences: Arc<[Audience]>,
    ) -> Self {
        handle.ring().subscribe(&audiences);
        let subscription = dispatcher.subscribe();
        let audiences = dispatcher.add_topics(subscription.id(), &handle.id, audiences);
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
    pub fn figures(&self) -> &BrokerageFigures {
        &self.handle.figures
    }

    #[must_use]
    pub fn audiences(&self) -> &Arc<[Audience]> {
        &self.audiences
    }

    /// The version of the log's ring. While it is the same, there is nothing new to read.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.handle.ring_version.load(Ordering::Acquire)
    }

    /// What another stream wrote that was at the same place. It needs no look at the ring.
    #[must_use]
    pub fn shared_write(&self, place: WritePlace<'_>) -> Option<SharedWrite> {
        let dispatcher = self.subscription.dispatcher();
        dispatcher.shared_writes().find(self.audiences(), place)
    }

    /// Lets other streams at the same place repeat this write.
    pub fn share_write(&self, place: WritePlace<'_>, write: SharedWrite) {
        // Further audiences are most often those of one user.
        if self.audiences().len() == 1 {
            let dispatcher = self.subscription.dispatcher();
            let shared = dispatcher.shared_writes();
            shared.put(self.audiences(), place, write);
        }
    }

    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// The log's epoch and newest position.
    #[must_use]
    pub fn log_head(&self) -> (Epoch, i64) {
        let ring = self.handle.ring();
        (ring.epoch().clone(), ring.head())
    }

    /// Passes the events after `cursor` to `sink`, until it returns `false`.
    pub fn read(
        &self,
        epoch: &Epoch,
        cursor: i64,
        mut sink: impl FnMut(&Arc<Frame>, &RecordOwners) -> bool,
    ) -> RingRead {
        let ring = self.handle.ring();
        let owners = ring.owners();
        let sink = |frame: &Arc<Frame>| sink(frame, owners);
        ring.read(epoch, self.audiences(), cursor, sink)
    }

    /// The position since which memory knows all changes of owners.
    #[must_use]
    pub fn knows_owners_since(&self) -> i64 {
        self.handle.ring().owners().since()
    }

    /// The visibility of a frame that was read from the table when the log's head was `as_of`.
    /// `None` when memory does not know the owners since then.
    #[must_use]
    pub fn visibility(&self, frame: &Frame, as_of: i64, rights: &Rights) -> Option<Visibility> {
        if !frame.encoded.has_private_fields() {
            return Some(Visibility::Masked);
        }
        let ring = self.handle.ring();
        let owners = ring.owners();
        (owners.since() <= as_of).then(|| owners.visibility(frame, rights))
    }

    /// Passes the ephemeral events from the position `from` on to `sink`, until it returns `false`.
    pub fn read_ephemerals(
        &self,
        from: u64,
        has_records: bool,
        sink: impl FnMut(&EncodedEvent) -> bool,
    ) -> EphemeralRead {
        let reader = EphemeralReader {
            audiences: self.audiences(),
            has_records,
        };
        self.handle.ephemeral_ring().read(reader, from, sink)
    }

    /// The position after the last ephemeral event that was released.
    #[must_use]
    pub fn next_ephemeral(&self) -> u64 {
        self.handle.next_ephemeral.load(Ordering::Acquire)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (id, broker) = (self.subscription.id(), &self.handle.id);
        let dispatcher = self.subscription.dispatcher();
        dispatcher.remove_topics(id, broker, &self.audiences);
        self.handle.ring().unsubscribe(&self.audiences);
    }
}
