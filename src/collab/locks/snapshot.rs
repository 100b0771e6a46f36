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
    BrokerageLocks, HeldLock, HeldLocksQuery, LockListQuery, MOST_LISTED, PageCursor, held_locks,
};
use crate::log::{Audience, Cursor};
use crate::platform::BackgroundTask;
use crate::platform::DedicatedConnection;
use crate::platform::{BatchLimits, Batcher, Batches, Pending, Queues};
use crate::platform::{BrokerId, RecordPath, UserId};

/// The type of the snapshot's event.
pub const LOCK_SNAPSHOT_TYPE: &str = "locks:snapshot";
/// A stream that has no snapshot by then ends, and its client comes back.
pub const LOCK_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(5);
const LIMITS: BatchLimits = BatchLimits {
    name: "lock_snapshots",
    queue: 65_536,
    batch: 65_536,
    interval: Duration::from_millis(20),
    spaces_single_requests: true,
    answer_timeout: LOCK_SNAPSHOT_TIMEOUT,
};
/// A snapshot serves streams that open so soon after it was read, unless the log has gone on. What no event
/// reports, the extension of a lock, can be so old in it. A stream that has to wait for a snapshot needs one
/// more write.
const REUSED_FOR: Duration = Duration::from_millis(500);
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
    /// The event's data for a stream of these audiences, about these records if not about all. If there are
    /// more locks, it has `next`, the cursor of the next page of `GET /locks`.
    #[must_use]
    pub fn json(&self, audiences: &[Audience], records: Option<&FxHashSet<RecordPath>>) -> String {
        let is_visible = |held: &&HeldLock| {
            audiences.contains(&held.audience)
                && records.is_none_or(|records| records.contains(&held.record))
        };
        let visible: Vec<_> = self.locks.iter().filter(is_visible).collect();
        let shown = shown(&visible, MOST_LISTED);
        // What was left out begins after the lock before it, or after the last lock that was read.
        let gap = shown.iter().zip(0..).find(|(shown, at)| **shown != *at);
        let gap = gap.map_or(shown.len(), |(_, at)| at);
        let last = if gap < visible.len() {
            visible.get(gap.saturating_sub(1)).copied()
        } else {
            self.locks.last().filter(|_| self.is_truncated)
        };
        let locks: Vec<&Lock> = shown.iter().map(|at| &visible[*at].lock).collect();
        let locks = serde_json::to_string(&locks).unwrap_or_default();
        let more = last.map(|last| {
            let next = PageCursor::after(&last.lock);
            format!(r#","truncated":true,"next":"{next}""#)
        });
        let (position, more) = (&self.position, more.unwrap_or_default());
        format!(
            r#"{{"type":"{LOCK_SNAPSHOT_TYPE}","position":"{position}","locks":{locks}{more}}}"#
        )
    }

    /// Whether a stream that starts at `start` gets all changes after this snapshot as events.
    fn serves(&self, start: &Cursor) -> bool {
        self.position.epoch == start.epoch && self.position.position >= start.position
    }
}

/// The indexes of the locks to show, in order. Of too many, holders take turns, so that the locks of one
/// do not hide those of others.
fn shown(visible: &[&HeldLock], most: usize) -> Vec<usize> {
    if visible.len() <= most {
        return (0..visible.len()).collect();
    }
    let mut counts: FxHashMap<&UserId, usize> = FxHashMap::default();
    let mut turns: Vec<_> = visible
        .iter()
        .enumerate()
        .map(|(at, held)| {
            let turn = counts.entry(&held.lock.holder.user_id).or_default();
            *turn += 1;
            (*turn, at)
        })
        .collect();
    turns.sort_unstable();
    let mut shown: Vec<_> = turns.into_iter().take(most).map(|(_, at)| at).collect();
    shown.sort_unstable();
    shown
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
    fn find(&self, broker: &BrokerId, start: &Cursor, now: Instant) -> Option<Arc<LockSnapshot>> {
        let recent = self.lock();
        let found = recent.get(broker)?;
        let is_good = found.snapshot.serves(start) && now < found.until;
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
    pub fn start(
        database: DedicatedConnection,
        queues: &Queues,
        stop: CancellationToken,
    ) -> (Self, BackgroundTask) {
        let (requests, batches) = Batcher::new(LIMITS, queues, stop);
        let recent = RecentSnapshots::default();
        let run = run(database, batches, recent.clone());
        let task = BackgroundTask::new("the loader of lock snapshots", run);
        (Self { requests, recent }, task)
    }

    /// A snapshot for a stream that starts at `start`: a recent one, or one that is read after this call.
    #[must_use]
    pub fn load(&self, broker: &BrokerId, start: &Cursor) -> LockSnapshotAnswer {
        if let Some(snapshot) = self.recent.find(broker, start, Instant::now()) {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::OffsetDateTime;

    use super::*;
    use crate::collab::locks::Holder;
    use crate::log::Epoch;

    fn held(user: &str, n: i64) -> HeldLock {
        let lock = Lock {
            module: "escrows".parse().unwrap(),
            record_id: format!("e-{n}").parse().unwrap(),
            holder: Holder {
                user_id: user.parse().unwrap(),
                session: "tab".parse().unwrap(),
            },
            fence: 1,
            locked_at: OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(n),
            locked_until: OffsetDateTime::UNIX_EPOCH,
            waiting: 0,
        };
        HeldLock {
            audience: Audience::Broker,
            record: lock.record(),
            lock,
        }
    }

    fn of(user: &str, numbers: std::ops::Range<i64>) -> Vec<HeldLock> {
        numbers.map(|n| held(user, n)).collect()
    }

    fn event(locks: Vec<HeldLock>, is_truncated: bool) -> Value {
        let position = Epoch::stored("e").at(1);
        let snapshot = LockSnapshot {
            position,
            locks,
            is_truncated,
        };
        serde_json::from_str(&snapshot.json(&[Audience::Broker], None)).unwrap()
    }

    fn most() -> i64 {
        i64::try_from(MOST_LISTED).unwrap()
    }

    #[test]
    fn the_locks_of_one_user_do_not_hide_those_of_others() {
        let mut locks = of("ann", 0..most() + 5);
        locks.extend(of("bob", most() + 5..most() + 15));
        let event = event(locks, false);
        let shown = event["locks"].as_array().unwrap();
        assert_eq!(shown.len(), MOST_LISTED);
        let of_bob = shown.iter().filter(|one| one["holder"]["userId"] == "bob");
        assert_eq!(of_bob.count(), 10);
        // What is missing begins after the last of Ann's locks that is there.
        let last = held("ann", most() - 11).lock;
        let next = PageCursor::after(&last).to_string();
        assert_eq!(
            (&event["truncated"], &event["next"]),
            (&json!(true), &json!(next))
        );
    }

    #[test]
    fn a_whole_list_has_no_next_page_and_one_that_was_read_in_part_has() {
        let whole = event(of("ann", 0..most()), false);
        assert_eq!((whole.get("truncated"), whole.get("next")), (None, None));
        let part = event(of("ann", 0..3), true);
        let next = PageCursor::after(&held("ann", 2).lock).to_string();
        assert_eq!(part["next"], next);
    }

    #[test]
    fn a_recent_snapshot_serves_streams_that_get_everything_after_it() {
        let (recent, log) = (RecentSnapshots::default(), Epoch::stored("a"));
        let broker: BrokerId = "b".parse().unwrap();
        let now = Instant::now();
        recent.put(
            broker.clone(),
            Arc::new(LockSnapshot {
                position: log.at(7),
                locks: Vec::new(),
                is_truncated: false,
            }),
        );
        let found = |start: &Cursor, at| recent.find(&broker, start, at).is_some();
        assert!(found(&log.at(7), now) && found(&log.at(3), now));
        assert!(!found(&log.at(8), now), "the log has gone on");
        assert!(!found(&Epoch::stored("b").at(7), now), "it is another log");
        assert!(!found(&log.at(7), now + 2 * REUSED_FOR), "it is too old");
        let other = "c".parse().unwrap();
        assert!(recent.find(&other, &log.at(7), now).is_none());
        assert!(!recent.is_empty());
    }
}
