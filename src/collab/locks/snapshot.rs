//! What is held, for streams that open: they ask together, and one query answers all.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Lock;
use super::list::{Found, LockListQuery, LockQuestion, MOST_LISTED, held};
use crate::log::{Audience, Cursor};
use crate::platform::DedicatedConnection;
use crate::platform::{BrokerId, RecordPath};

/// The type of what a stream is told.
pub const SNAPSHOT: &str = "locks:snapshot";
/// Streams that may stand in line; one more is told to come back.
const LINE_REQUESTS: usize = 65_536;
/// Rounds begin no closer together: those who come meanwhile share the next one.
const ROUND: Duration = Duration::from_millis(20);
/// Nobody waits longer for an answer: a stream that is not opened is tried again.
pub const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BROKERS: usize = 256;
/// Locks of one broker that are read, of which each stream is told those it may see.
const MOST_LOCKS: usize = 10_000;

/// There is no answer: the line is too long, or the database is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the locks could not be read")]
pub struct LocksUnavailable;

/// All that a broker's users hold, true at a position.
#[derive(Debug)]
pub struct LockSnapshot {
    position: Cursor,
    locks: Vec<(Audience, RecordPath, Lock)>,
    is_truncated: bool,
}

impl LockSnapshot {
    /// The snapshot for these eyes, of these records if not of all.
    #[must_use]
    pub fn seen_by(&self, eyes: &[Audience], records: Option<&FxHashSet<RecordPath>>) -> Value {
        let is_seen = |(audience, record, _): &&(Audience, RecordPath, Lock)| {
            eyes.contains(audience) && records.is_none_or(|records| records.contains(record))
        };
        let mut seen = self.locks.iter().filter(is_seen).map(|(.., lock)| lock);
        let locks: Vec<_> = seen.by_ref().take(MOST_LISTED).collect();
        let mut snapshot = json!({
            "type": SNAPSHOT,
            "position": self.position.to_string(),
            "locks": locks,
        });
        if self.is_truncated || seen.next().is_some() {
            snapshot["truncated"] = json!(true);
        }
        snapshot
    }
}

/// An answer from the desk.
pub type LockSnapshotAnswer = Result<Arc<LockSnapshot>, LocksUnavailable>;

struct LockSnapshotRequest {
    broker: BrokerId,
    answer: oneshot::Sender<LockSnapshotAnswer>,
}

/// A handle to the desk's task.
#[derive(Clone, Debug)]
pub struct LockSnapshotLoader {
    line: mpsc::Sender<LockSnapshotRequest>,
}

impl LockSnapshotLoader {
    /// The handle, and the task behind it.
    pub fn new(
        database: DedicatedConnection,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (line, requests) = mpsc::channel(LINE_REQUESTS);
        let clerk = LockSnapshotTask {
            database,
            line: requests,
        };
        (Self { line }, clerk.run(stop))
    }

    /// What is held at a broker now or a moment later.
    #[must_use]
    pub fn ask(&self, broker: BrokerId) -> oneshot::Receiver<LockSnapshotAnswer> {
        let (answer, answered) = oneshot::channel();
        if let Err(refused) = self.line.try_send(LockSnapshotRequest { broker, answer }) {
            let _ = refused.into_inner().answer.send(Err(LocksUnavailable));
        }
        answered
    }
}

struct LockSnapshotTask {
    database: DedicatedConnection,
    line: mpsc::Receiver<LockSnapshotRequest>,
}

impl LockSnapshotTask {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => return,
                first = self.line.recv() => first,
            };
            let Some(first) = first else { return };
            let began_at = Instant::now();
            self.round(first).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(began_at + ROUND) => {}
            }
        }
    }

    /// Answers everybody in the line. Who comes later is not answered with what was read
    /// before they came.
    async fn round(&mut self, first: LockSnapshotRequest) {
        let mut waiting: FxHashMap<BrokerId, Vec<oneshot::Sender<LockSnapshotAnswer>>> =
            FxHashMap::default();
        let mut next = Some(first);
        while let Some(LockSnapshotRequest { broker, answer }) = next {
            waiting.entry(broker).or_default().push(answer);
            let is_full = waiting.len() >= MOST_BROKERS;
            next = (!is_full).then(|| self.line.try_recv().ok()).flatten();
        }
        let brokers: Vec<_> = waiting.keys().cloned().collect();
        let found = match self.read(&brokers).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the locks could not be read for streams that open");
                Vec::new()
            }
        };
        // Whoever has no answer then is told so by its end of the channel.
        for found in found {
            let answers = waiting.remove(&found.broker).unwrap_or_default();
            let held = Arc::new(LockSnapshot::from(found));
            for answer in answers {
                let _ = answer.send(Ok(Arc::clone(&held)));
            }
        }
    }

    async fn read(&mut self, brokers: &[BrokerId]) -> sqlx::Result<Vec<Found>> {
        let question = LockQuestion {
            brokers,
            audiences: None,
            wanted: LockListQuery::default(),
            most: i64::try_from(MOST_LOCKS + 1).unwrap_or(i64::MAX),
        };
        self.database
            .run(async |connection| held(connection, &question).await)
            .await
    }
}

impl From<Found> for LockSnapshot {
    fn from(found: Found) -> Self {
        let is_truncated = found.locks.len() > MOST_LOCKS;
        let of_record = |(audience, lock): (Audience, Lock)| {
            let record = RecordPath {
                module: lock.module.clone(),
                id: lock.record_id.clone(),
            };
            (audience, record, lock)
        };
        let locks = found.locks.into_iter().take(MOST_LOCKS);
        Self {
            position: found.position,
            locks: locks.map(of_record).collect(),
            is_truncated,
        }
    }
}
