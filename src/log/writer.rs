//! Publishing: requests that arrive together are committed together.
//!
//! One commit costs a sync of the disk whether it carries one event or hundreds, so
//! the writer takes all that waits, commits it, and answers every request with its
//! positions. Nothing is answered before it is durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::idempotency::IdempotencyKey;
use crate::log::event::{Epoch, Event, NewEvent};
use crate::log::hints::CommitNotifier;
use crate::platform::BrokerId;
use crate::platform::DedicatedConnection;
use crate::platform::Dice;

mod group;

/// Requests that may wait for the writer; one more is refused.
const QUEUE_REQUESTS: usize = 4_096;
/// Requests and events that one commit takes at the most.
const GROUP_REQUESTS: usize = 512;
const GROUP_EVENTS: usize = 2_000;
/// From the beginning of one commit to that of the next, while requests keep coming.
const GROUP_INTERVAL: Duration = Duration::from_millis(3);
/// How long a request waits for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// One request to publish: all of its events, or none.
#[derive(Clone, Debug)]
pub struct Publication {
    pub broker: BrokerId,
    /// What to tell, in order.
    pub events: Arc<[NewEvent]>,
    pub key: Option<IdempotencyKey>,
}

/// Where the events of a request are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub epoch: Epoch,
    /// The position of the first event.
    pub first: i64,
    /// How many there are, without a gap.
    pub count: i64,
    /// An earlier request with the same key made them.
    pub is_repeat: bool,
}

/// Why nothing can be said to be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// More requests wait than the writer will hold.
    #[error("too many requests wait to be written")]
    Busy,
    /// The database did not answer: published or not, nobody knows.
    #[error("the database did not confirm the write")]
    Unconfirmed,
    /// The key stands for another body.
    #[error("this idempotency key was used with another body")]
    KeyReused,
}

struct Job {
    publication: Publication,
    answer: oneshot::Sender<Result<Published, PublishError>>,
}

/// A handle to the writer's task.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Job>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.publication.fmt(f)
    }
}

/// What the writer's task needs.
pub struct WriterParts {
    pub database: DedicatedConnection,
    /// For epochs of new logs.
    pub dice: Dice,
    /// Who is told of what was committed.
    pub committed: CommitNotifier,
    /// Ends the task, after what is queued.
    pub stop: CancellationToken,
}

impl Writer {
    /// The handle, and the task behind it.
    pub fn new(parts: WriterParts) -> (Self, impl Future<Output = ()>) {
        let (queue, jobs) = mpsc::channel(QUEUE_REQUESTS);
        (Self { queue }, run(parts, jobs))
    }

    /// Publishes, and returns when it is durable.
    pub async fn publish(&self, publication: Publication) -> Result<Published, PublishError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Job {
                publication,
                answer,
            })
            .map_err(|_| PublishError::Busy)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(result)) => result,
            _ => Err(PublishError::Unconfirmed),
        }
    }
}

async fn run(mut parts: WriterParts, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = Vec::new();
    let mut next_group = Instant::now();
    loop {
        tokio::select! {
            biased;
            n = jobs.recv_many(&mut waiting, GROUP_REQUESTS) => if n == 0 { return },
            () = parts.stop.cancelled() => { jobs.close(); }
        }
        // Under load, commits are few and large; a request that comes alone finds this
        // moment long past. Nobody is woken for what comes meanwhile.
        tokio::time::sleep_until(next_group).await;
        let room = GROUP_REQUESTS.saturating_sub(waiting.len());
        waiting.extend(std::iter::from_fn(|| jobs.try_recv().ok()).take(room));
        next_group = Instant::now() + GROUP_INTERVAL;
        while !waiting.is_empty() {
            let group = group::take(&mut waiting, GROUP_EVENTS);
            group::settle(&mut parts, group).await;
        }
    }
}

impl Job {
    fn answer(self, result: Result<Published, PublishError>) {
        // A caller that went away has nobody to tell.
        let _ = self.answer.send(result);
    }

    fn events(&self, first: i64, at: time::OffsetDateTime) -> Vec<Event> {
        let told = self.publication.events.iter().cloned();
        let event = |(position, told)| Event {
            position,
            created_at: at,
            told,
        };
        (first..).zip(told).map(event).collect()
    }
}
