//! The locks of a brokerage for streams that open. Streams that ask at the same time share one
//! query.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use tokio::sync::oneshot;
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
    /// The event for a stream of these audiences, about these records if not about all.
    #[must_use]
    pub fn event(&self, audiences: &[Audience], records: Option<&FxHashSet<RecordPath>>) -> Value {
        let is_visible = |held: &&HeldLock| {
            audiences.contains(&held.audience)
                && records.is_none_or(|records| records.contains(&held.record))
        };
        let mut visible = self.locks.iter().filter(is_visible);
        let locks = visible.by_ref().take(MOST_LISTED).map(|held| &held.lock);
        let locks: Vec<&Lock> = locks.collect();
        let mut event = json!({
            "type": LOCK_SNAPSHOT_TYPE,
            "position": self.position.to_string(),
            "locks": locks,
        });
        if self.is_truncated || visible.next().is_some() {
            event["truncated"] = json!(true);
        }
        event
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

/// Requests snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LockSnapshotLoader(Batcher<BrokerId, Arc<LockSnapshot>>);

impl LockSnapshotLoader {
    /// The loader, and the task that reads.
    #[must_use]
    pub fn start(database: DedicatedConnection, stop: CancellationToken) -> (Self, BackgroundTask) {
        let (loader, requests) = Batcher::new(LIMITS, stop);
        let task = BackgroundTask::new("the loader of lock snapshots", run(database, requests));
        (Self(loader), task)
    }

    /// Requests a snapshot, which is read after this call. The channel closes without one when too
    /// many requests wait, or when the database does not answer.
    #[must_use]
    pub fn load(&self, broker: BrokerId) -> oneshot::Receiver<Arc<LockSnapshot>> {
        let refused = |_| oneshot::channel().1;
        self.0.send(broker).unwrap_or_else(refused)
    }
}

async fn run(mut database: DedicatedConnection, mut batches: SnapshotRequests) {
    while let Some(batch) = batches.next().await {
        let mut requests: FxHashMap<BrokerId, Vec<SnapshotRequest>> = FxHashMap::default();
        for pending in batch {
            let of_brokerage = requests.entry(pending.request.clone()).or_default();
            of_brokerage.push(pending);
        }
        let brokers: Vec<_> = requests.keys().cloned().collect();
        for brokers in brokers.chunks(MOST_BROKERS) {
            match read(&mut database, brokers).await {
                Ok(found) => answer(&mut requests, found),
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

fn answer(requests: &mut FxHashMap<BrokerId, Vec<SnapshotRequest>>, found: Vec<BrokerageLocks>) {
    for found in found {
        let waiting = requests.remove(&found.broker).unwrap_or_default();
        let snapshot = Arc::new(LockSnapshot::from(found));
        for pending in waiting {
            pending.answer(Arc::clone(&snapshot));
        }
    }
}
