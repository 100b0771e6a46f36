//! Writes of one record take turns at this instance. Each of them would wait for the row of the record
//! otherwise, with one of the few connections that its brokerage may use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::RecordsError;
use crate::platform::{BrokerId, RecordPath};

/// How long a write waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// Writes of one record that may wait. Further ones are refused.
const MOST_WAITING: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct QueuedRecord {
    broker: BrokerId,
    record: RecordPath,
}

/// The records that are being written.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordQueues(Arc<Mutex<FxHashMap<QueuedRecord, Arc<Semaphore>>>>);

/// The right to write a record, or a place in the queue for it. Dropping it lets the next write in.
#[derive(Debug)]
pub(super) struct RecordTurn {
    queues: RecordQueues,
    record: QueuedRecord,
    permit: Option<OwnedSemaphorePermit>,
}

impl RecordQueues {
    pub(super) async fn turn(
        &self,
        broker: &BrokerId,
        record: &RecordPath,
    ) -> Result<RecordTurn, RecordsError> {
        let mut turn = RecordTurn {
            queues: self.clone(),
            record: QueuedRecord {
                broker: broker.clone(),
                record: record.clone(),
            },
            permit: None,
        };
        let queue = self.enter(&turn.record).ok_or(RecordsError::Busy)?;
        let permit = timeout(TURN_TIMEOUT, queue.acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok);
        turn.permit = Some(permit.ok_or(RecordsError::Busy)?);
        Ok(turn)
    }

    /// The queue of a record, unless it is full.
    fn enter(&self, record: &QueuedRecord) -> Option<Arc<Semaphore>> {
        let mut queues = self.queues();
        let queue = queues.entry(record.clone());
        let queue = queue.or_insert_with(|| Arc::new(Semaphore::new(1)));
        // The map, the write under way, and each that waits have a reference.
        (Arc::strong_count(queue) < 2 + MOST_WAITING).then(|| Arc::clone(queue))
    }

    fn queues(&self) -> MutexGuard<'_, FxHashMap<QueuedRecord, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RecordTurn {
    fn drop(&mut self) {
        self.permit = None;
        let mut queues = self.queues.queues();
        let queue = queues.get(&self.record);
        if queue.is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.record);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    struct Writes {
        queues: RecordQueues,
        broker: BrokerId,
    }

    impl Writes {
        fn new() -> Self {
            Self {
                queues: RecordQueues::default(),
                broker: "b".parse().unwrap(),
            }
        }

        async fn turn(&self, id: &str) -> Result<RecordTurn, RecordsError> {
            let record = RecordPath {
                module: "escrows".parse().unwrap(),
                id: id.parse().unwrap(),
            };
            self.queues.turn(&self.broker, &record).await
        }
    }

    #[tokio::test]
    async fn writes_of_one_record_take_turns_and_nothing_stays() {
        let writes = Writes::new();
        let first = writes.turn("e-1").await.unwrap();
        let other = writes.turn("e-2").now_or_never().expect("its own queue");
        let mut second = Box::pin(writes.turn("e-1"));
        let mut gone = Box::pin(writes.turn("e-1"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(gone.as_mut().now_or_never().is_none());
        drop((first, gone));
        let second = second.as_mut().now_or_never().expect("its turn");
        assert_eq!(writes.queues.queues().len(), 2);
        drop((second, other));
        assert!(writes.queues.queues().is_empty());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let writes = Writes::new();
        let held = writes.turn("e-1").await.unwrap();
        let mut waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| Box::pin(writes.turn("e-1")))
            .collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let refused = writes.turn("e-1").now_or_never().expect("an answer");
        assert!(matches!(refused, Err(RecordsError::Busy)), "{refused:?}");
        drop((held, waiting));
        assert!(writes.queues.queues().is_empty());
    }
}
