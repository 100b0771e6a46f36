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

use groups::GroupCommits;
use held::{HeldLogs, Patience, SplitGroup};

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

/// A handle to the writer's task.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: Batcher<Publication, PublishResult>,
    publishing: PublishingBytes,
}

pub struct WriterParts {
    pub database: DedicatedConnection,
    pub committer: EventCommitter,
    /// All of them together commit no more groups than one would.
    pub instances: InstanceCount,
    pub queues: Queues,
    /// Counts what is being published.
    pub publishing: PublishingBytes,
    /// Ends the task once it has served the requests in the queue.
    pub stop: CancellationToken,
}

impl Writer {
    /// The handle, and the task behind it.
    #[must_use]
    pub fn start(parts: WriterParts) -> (Self, BackgroundTask) {
        let (queue, batches) = Batcher::new(LIMITS, &parts.queues, parts.stop.clone());
        let publishing = parts.publishing.clone();
        let task = BackgroundTask::new("the writer", run(parts, batches));
        (Self { queue, publishing }, task)
    }

    /// Whether a group is being committed, or waits for it.
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

async fn run(parts: WriterParts, mut batches: Batches<Publication, PublishResult>) {
    let mut held = HeldLogs::default();
    let mut commits = GroupCommits {
        database: parts.database,
        committer: parts.committer,
    };
    while let Some(mut waiting) = batches.next().await {
        batches.set_interval(parts.instances.spread(LIMITS.interval));
        while !waiting.is_empty() {
            let group = next_group(&mut waiting);
            serve(&mut commits, &mut held, group).await;
        }
    }
}

/// Answers a group. Requests for logs that are not held must not wait for the others.
async fn serve(commits: &mut GroupCommits, held: &mut HeldLogs, group: Vec<PublishRequest>) {
    let SplitGroup {
        free,
        held: mut of_held_logs,
    } = held.split(group);
    if let Err(left) = commits.serve(free, Patience::Usual).await {
        of_held_logs.extend(held::by_brokerage(left.requests));
    }
    for of_log in of_held_logs {
        serve_held(commits, held, of_log).await;
    }
}

/// The same for a log that another transaction holds, or held a moment ago.
async fn serve_held(
    commits: &mut GroupCommits,
    held: &mut HeldLogs,
    mut group: Vec<PublishRequest>,
) {
    group.retain(|request| !request.is_given_up());
    let Some(first) = group.first() else {
        return;
    };
    let broker = first.request.broker.clone();
    match commits.serve(group, Patience::Short).await {
        Ok(()) => held.remove(&broker),
        Err(left) => {
            held.insert(broker, &left.error);
            groups::fail(left.requests, &PublishError::Busy);
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
