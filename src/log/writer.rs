//! Publishing: requests that arrive together are committed together.
//!
//! A commit costs one sync of the disk, whether it carries one event or hundreds. So the writer
//! commits all requests that wait as one group. A request is answered when its events are durable.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::committer::EventCommitter;
use super::event::{Epoch, NewEvent};
use super::idempotency::{IdempotencyKey, IdempotencyKeyId};
use super::publishing_bytes::PublishingBytes;
use crate::platform::{BackgroundTask, BrokerId, DedicatedConnection, InstanceCount, Queues};
use crate::platform::{BatchError, BatchLimits, Batcher, Batches, Pending};

mod groups;
mod held;
mod results;

use groups::{GroupCommits, Patience};
use held::HeldLogs;

const LIMITS: BatchLimits = BatchLimits {
    name: "writer",
    queue: 4_096,
    batch: 512,
    interval: Duration::from_millis(2),
    spaces_single_requests: false,
    answer_timeout: Duration::from_secs(8),
};
/// Events that one commit takes, unless a single request has more.
const GROUP_EVENTS: usize = 2_000;
/// The content that one commit takes, unless a single request has more. The statement and the buffer of the
/// connection, which keeps its size, each have a copy of it.
const GROUP_BYTES: usize = 1_024 * 1_024;

/// One request to publish: all of its events, or none.
#[derive(Clone, Debug)]
pub struct Publication {
    pub broker: BrokerId,
    /// In order.
    pub events: Arc<[NewEvent]>,
    pub key: Option<IdempotencyKey>,
}

impl Publication {
    fn content_bytes(&self) -> usize {
        self.events.iter().map(NewEvent::content_bytes).sum()
    }
}

/// The positions of a request's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub epoch: Epoch,
    /// The position of the first event. The others follow without a gap.
    pub first: i64,
    pub count: i64,
    /// An earlier request with the same key published them.
    pub is_repeat: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The writer's queue is full, or another transaction holds the log. Nothing is published.
    #[error("too many requests wait to be written")]
    Busy,
    /// The database did not answer. Whether the events are published is unknown.
    #[error("the database did not confirm the write")]
    Unconfirmed,
    /// The server lacks space, memory or connections. Nothing is published.
    #[error("the database lacks space, memory or connections")]
    NoResources,
    /// An earlier request used the key with another body.
    #[error("this idempotency key was used with another body")]
    KeyReused,
}

type PublishResult = Result<Published, PublishError>;
type PublishRequest = Pending<Publication, PublishResult>;

/// A handle to the writer's tasks.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: Batcher<Publication, PublishResult>,
    publishing: PublishingBytes,
}

pub struct WriterParts {
    pub database: DedicatedConnection,
    /// For logs that other transactions hold. Not used while there are none.
    pub held_logs: DedicatedConnection,
    pub committer: EventCommitter,
    /// All of them together commit no more groups than one would.
    pub instances: InstanceCount,
    pub queues: Queues,
    /// Counts what is being published.
    pub publishing: PublishingBytes,
    /// Ends the tasks once they have served the requests in the queue.
    pub stop: CancellationToken,
}

impl Writer {
    /// The handle, and the tasks behind it.
    #[must_use]
    pub fn start(parts: WriterParts) -> (Self, [BackgroundTask; 2]) {
        let (queue, batches) = Batcher::new(LIMITS, &parts.queues, parts.stop);
        let commits = |database, patience| GroupCommits {
            database,
            committer: parts.committer.clone(),
            patience,
        };
        let of_held_logs = commits(parts.held_logs, Patience::Short);
        let (held, held_logs) = HeldLogs::new(&parts.queues, of_held_logs);
        let writer = WriterTask {
            commits: commits(parts.database, Patience::Usual),
            held,
            instances: parts.instances,
            batches,
        };
        let tasks = [
            BackgroundTask::new("the writer", writer.run()),
            BackgroundTask::new("the writer of held logs", held_logs.run()),
        ];
        let publishing = parts.publishing;
        (Self { queue, publishing }, tasks)
    }

    /// Whether a group is being committed, or waits for it. Those for held logs do not count: they wait for long.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.queue.is_busy()
    }

    /// Publishes, and returns when the events are durable.
    pub async fn publish(&self, publication: Publication) -> PublishResult {
        let _held = self.publishing.hold(publication.content_bytes());
        match self.queue.ask(publication).await {
            Ok(result) => result,
            Err(BatchError::Busy) => Err(PublishError::Busy),
            Err(BatchError::Unanswered) => Err(PublishError::Unconfirmed),
        }
    }
}

struct WriterTask {
    commits: GroupCommits,
    held: HeldLogs,
    instances: InstanceCount,
    batches: Batches<Publication, PublishResult>,
}

impl WriterTask {
    async fn run(mut self) {
        while let Some(mut waiting) = self.batches.next().await {
            let interval = self.instances.spread(LIMITS.interval);
            self.batches.set_interval(interval);
            while !waiting.is_empty() {
                self.serve(next_group(&mut waiting)).await;
            }
        }
    }

    async fn serve(&mut self, group: Vec<PublishRequest>) {
        let group = self.held.take_from(group);
        if group.is_empty() {
            return;
        }
        if let Err(left) = self.commits.serve(group).await {
            self.held.take_all(left.requests);
        }
    }
}

/// Takes the next group, in order.
fn next_group(waiting: &mut Vec<PublishRequest>) -> Vec<PublishRequest> {
    let size = group_size(waiting.iter().map(|pending| &pending.request));
    waiting.drain(..size).collect()
}

/// How many of these requests are the next group. It has a limited number of events and bytes, and no key twice.
fn group_size<'a>(waiting: impl Iterator<Item = &'a Publication>) -> usize {
    let mut keys: Vec<&IdempotencyKeyId> = Vec::new();
    let (mut events, mut bytes, mut size) = (0, 0, 0);
    for request in waiting {
        events += request.events.len();
        bytes += request.content_bytes();
        let is_full = events > GROUP_EVENTS || bytes > GROUP_BYTES;
        let key = request.key.as_ref().map(|key| &key.id);
        if size > 0 && (is_full || key.is_some_and(|key| keys.contains(&key))) {
            break;
        }
        keys.extend(key);
        size += 1;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Audience;

    fn publication(events: usize, bytes: usize) -> Publication {
        let event_type = "test:tick".parse().unwrap();
        let data = serde_json::json!("x".repeat(bytes));
        let event = NewEvent::new(Audience::Broker, event_type).with(&data);
        Publication {
            broker: "b".parse().unwrap(),
            events: vec![event; events].into(),
            key: None,
        }
    }

    #[test]
    fn a_group_has_a_limited_number_of_events_and_bytes() {
        let size = |requests: &[Publication]| group_size(requests.iter());
        assert_eq!(size(&vec![publication(1, 60_000); 64]), 17);
        assert_eq!(size(&vec![publication(1, 400); 512]), 512);
        assert_eq!(size(&vec![publication(600, 400); 8]), 3);
        assert_eq!(size(&[publication(40, 60_000), publication(1, 1)]), 1);
        assert_eq!(size(&[]), 0);
    }
}
