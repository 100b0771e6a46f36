//! The locks of a brokerage for streams that open. Streams that ask at the same time share one
//! query.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Lock;
use super::list::{
    BrokerageLocks, HeldLock, HeldLocksQuery, LockListQuery, MOST_LISTED, held_locks,
};
use crate::log::{Audience, Cursor};
use crate::platform::BackgroundTask;
use crate::platform::DedicatedConnection;
use crate::platform::{BatchLimits, Batcher, Batches, Pending};
use crate::platform::{BrokerId, RecordPath};

/// The type of the snapshot's event.
pub const LOCK_SNAPSHOT_TYPE: &str = "locks:snapshot";
/// A stream that has no snapshot by then ends, and its client comes back.
pub const LOCK_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(5);
const LIMITS: BatchLimits = BatchLimits {
    queue: 65_536,
    batch: 65_536,
    interval: Duration::from_millis(20),
    spaces_single_requests: true,
    answer_timeout: LOCK_SNAPSHOT_TIMEOUT,
};
/// A snapshot serves streams that open so soon after it was read, unless the log has gone on. What no event
/// reports, the extension of a lock, can be so old in it.
const REUSED_FOR: Duration = Duration::from_millis(50);
/// Brokerages that one query reads.
const MOST_BROKERS: usize = 256;
/// Locks of one brokerage that a query reads. Each stream gets those that it may see.
const MOST_LOCKS: usize = 10_000;

/// The locks of a brokerage at a position of its log.
#[derive(Debug)]
pub struct LockSnapshot {
    position: Cursor,
    locks: Vec<HeldLock>,
    is_truncated: bool,
}

impl LockSnapshot {
    /// The event's data for a stream of these audiences, about these records if not about all.
    #[must_use]
    pub fn json(&self, audiences: &[Audience], records: Option<&FxHashSet<RecordPath>>) -> String {
        let is_visible = |held: &&HeldLock| {
            audiences.contains(&held.audience)
                && records.is_none_or(|records| records.contains(&held.record))
        };
        let mut visible = self.locks.iter().filter(is_visible);
        let locks = visible.by_ref().take(MOST_LISTED).map(|held| &held.lock);
        let locks: Vec<&Lock> = locks.collect();
        let locks = serde_json::to_string(&locks).unwrap_or_default();
        let is_truncated = self.is_truncated || visible.next().is_some();
        let truncated = if is_truncated {
            r#","truncated":true"#
        } else {
            ""
        };
        let position = &self.position;
        format!(
            r#"{{"type":"{LOCK_SNAPSHOT_TYPE}","position":"{position}","locks":{locks}{truncated}}}"#
        )
    }

    /// Whether a stream that starts at `start` gets all changes after this snapshot as events.
    fn serves(&self, start: &Cursor) -> bool {
        self.position.epoch == start.epoch && self.position.position >= start.position
    }
}

impl From<BrokerageLocks> for LockSnapshot {
    fn from(mut found: BrokerageLocks) -> Self {
        let is_truncated = found.locks.len() > MOST_LOCKS;
        found.locks.truncate(MOST_LOCKS);
        Self {
            position: found.position,
            locks: found.locks,
            is_truncated,
        }
    }
}

type SnapshotRequests = Batches<BrokerId, Arc<LockSnapshot>>;
type SnapshotRequest = Pending<BrokerId, Arc<LockSnapshot>>;

/// A snapshot that was asked for.
#[derive(Debug)]
pub enum LockSnapshotAnswer {
    Ready(Arc<LockSnapshot>),
    /// The channel closes without a snapshot when too many requests wait, or when the database does not
    /// answer.
    Waiting(oneshot::Receiver<Arc<LockSnapshot>>),
}

#[derive(Debug)]
struct RecentSnapshot {
    snapshot: Arc<LockSnapshot>,
    until: Instant,
}

/// The snapshots that were read last. They are few: the next batch, or a pause, removes old ones.
#[derive(Clone, Debug, Default)]
struct RecentSnapshots(Arc<Mutex<FxHashMap<BrokerId, RecentSnapshot>>>);

impl RecentSnapshots {
    fn find(&self, broker: &BrokerId, start: &Cursor) -> Option<Arc<LockSnapshot>> {
        let recent = self.lock();
        let found = recent.get(broker)?;
        let is_good = found.snapshot.serves(start) && Instant::now() < found.until;
        is_good.then(|| Arc::clone(&found.snapshot))
    }

    fn put(&self, broker: BrokerId, snapshot: Arc<LockSnapshot>) {
        let until = Instant::now() + REUSED_FOR;
        self.lock()
            .insert(broker, RecentSnapshot { snapshot, until });
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn remove_old(&self) {
        let now = Instant::now();
        self.lock().retain(|_, recent| now < recent.until);
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<BrokerId, RecentSnapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LockSnapshotLoader {
    requests: Batcher<BrokerId, Arc<LockSnapshot>>,
    recent: RecentSnapshots,
}

impl LockSnapshotLoader {
    /// The loader, and the task that reads.
    #[must_use]
    pub fn start(database: DedicatedConnection, stop: CancellationToken) -> (Self, BackgroundTask) {
        let (requests, batches) = Batcher::new(LIMITS, stop);
        let recent = RecentSnapshots::default();
        let run = run(database, batches, recent.clone());
        let task = BackgroundTask::new("the loader of lock snapshots", run);
        (Self { requests, recent }, task)
    }

    /// A snapshot for a stream that starts at `start`: a recent one, or one that is read after this call.
    #[must_use]
    pub fn load(&self, broker: &BrokerId, start: &Cursor) -> LockSnapshotAnswer {
        if let Some(snapshot) = self.recent.find(broker, start) {
            return LockSnapshotAnswer::Ready(snapshot);
        }
        let refused = |_| oneshot::channel().1;
        let answer = self.requests.send(broker.clone());
        LockSnapshotAnswer::Waiting(answer.unwrap_or_else(refused))
    }
}

async fn run(
    mut database: DedicatedConnection,
    mut batches: SnapshotRequests,
    recent: RecentSnapshots,
) {
    while let Some(batch) = next(&mut batches, &recent).await {
        let mut requests: FxHashMap<BrokerId, Vec<SnapshotRequest>> = FxHashMap::default();
        for pending in batch {
            let of_brokerage = requests.entry(pending.request.clone()).or_default();
            of_brokerage.push(pending);
        }
        let brokers: Vec<_> = requests.keys().cloned().collect();
        for brokers in brokers.chunks(MOST_BROKERS) {
            match read(&mut database, brokers).await {
                Ok(found) => {
                    for found in found {
                        let broker = found.broker.clone();
                        let snapshot = Arc::new(LockSnapshot::from(found));
                        for pending in requests.remove(&broker).unwrap_or_default() {
                            pending.answer(Arc::clone(&snapshot));
                        }
                        recent.put(broker, snapshot);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the locks for opening streams could not be read");
                }
            }
            // The channels of those without an answer close.
            for broker in brokers {
                requests.remove(broker);
            }
        }
    }
}

/// The next batch. Snapshots that are too old by then are dropped before it.
async fn next(
    batches: &mut SnapshotRequests,
    recent: &RecentSnapshots,
) -> Option<Vec<SnapshotRequest>> {
    while !recent.is_empty() {
        if let Ok(batch) = timeout(REUSED_FOR, batches.next()).await {
            recent.remove_old();
            return batch;
        }
        recent.remove_old();
    }
    batches.next().await
}

async fn read(
    database: &mut DedicatedConnection,
    brokers: &[BrokerId],
) -> sqlx::Result<Vec<BrokerageLocks>> {
    let query = HeldLocksQuery {
        brokers,
        audiences: None,
        list: LockListQuery::default(),
        most: i64::try_from(MOST_LOCKS + 1).unwrap_or(i64::MAX),
    };
    database
        .run(async |connection| held_locks(connection, &query).await)
        .await
}
