//! Publishing: requests that arrive together are committed together.
//!
//! A commit costs one sync of the disk, whether it carries one event or hundreds. So the writer
//! commits all requests that wait as one group. A request is answered when its events are durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::Appended;
use super::committer::EventCommitter;
use super::event::{Epoch, NewEvent};
use super::idempotency::{self, IdempotencyKey, IdempotencyKeyId, KeyAnswer};
use super::publishing_bytes::PublishingBytes;
use crate::platform::BackgroundTask;
use crate::platform::database::{is_contended, is_refusal, lacks_resources};
use crate::platform::{BatchError, BatchLimits, Batcher, Batches, Pending, Transaction};
use crate::platform::{BrokerId, DedicatedConnection, InstanceCount, Queues};

mod held;

use held::{HeldLogs, Patience};

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

async fn run(mut parts: WriterParts, mut batches: Batches<Publication, PublishResult>) {
    let mut held = HeldLogs::default();
    while let Some(mut waiting) = batches.next().await {
        batches.set_interval(parts.instances.spread(LIMITS.interval));
        while !waiting.is_empty() {
            let group = held.split(next_group(&mut waiting));
            if !group.free.is_empty() {
                serve(&mut parts, &mut held, group.free).await;
            }
            for of_held_log in group.held {
                serve_held(&mut parts, &mut held, of_held_log).await;
            }
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

/// Commits a group and answers it.
async fn serve(parts: &mut WriterParts, held: &mut HeldLogs, group: Vec<PublishRequest>) {
    match try_group(parts, &group, Patience::Usual).await {
        Ok(results) => answer(group, results),
        // One of the logs is held. All others must not wait for it.
        Err(error) if is_contended(&error) => {
            for of_log in held::by_brokerage(group) {
                serve_held(parts, held, of_log).await;
            }
        }
        Err(error) => serve_refused(parts, held, group, &error).await,
    }
}

/// The same for a log that another transaction holds, or held a moment ago.
async fn serve_held(parts: &mut WriterParts, held: &mut HeldLogs, mut group: Vec<PublishRequest>) {
    group.retain(|request| !request.is_given_up());
    let Some(first) = group.first() else {
        return;
    };
    let broker = first.request.broker.clone();
    match try_group(parts, &group, Patience::Short).await {
        Ok(results) => {
            held.remove(&broker);
            answer(group, results);
        }
        Err(error) if is_contended(&error) => {
            held.insert(broker, &error);
            fail(group, &PublishError::Busy);
        }
        Err(error) => serve_refused(parts, held, group, &error).await,
    }
}

/// When the database refuses a group of several requests, each of them is tried alone, so that one bad
/// request does not fail the others.
async fn serve_refused(
    parts: &mut WriterParts,
    held: &mut HeldLogs,
    group: Vec<PublishRequest>,
    error: &sqlx::Error,
) {
    if is_refusal(error) && group.len() > 1 {
        tracing::debug!(%error, "a group was refused; each request is tried alone");
        for request in group {
            Box::pin(serve(parts, held, vec![request])).await;
        }
        return;
    }
    tracing::warn!(%error, requests = group.len(), "publishing failed");
    if lacks_resources(error) {
        fail(group, &PublishError::NoResources);
    } else {
        fail(group, &PublishError::Unconfirmed);
    }
}

fn answer(group: Vec<PublishRequest>, results: Vec<PublishResult>) {
    for (request, result) in group.into_iter().zip(results) {
        request.answer(result);
    }
}

fn fail(group: Vec<PublishRequest>, error: &PublishError) {
    for request in group {
        request.answer(Err(error.clone()));
    }
}

async fn try_group(
    parts: &mut WriterParts,
    group: &[PublishRequest],
    patience: Patience,
) -> sqlx::Result<Vec<PublishResult>> {
    let committer = &parts.committer;
    let commit = async |c: &mut PgConnection| commit(c, committer, group, patience).await;
    parts.database.run(commit).await
}

/// Commits a group in one transaction.
async fn commit(
    connection: &mut PgConnection,
    committer: &EventCommitter,
    group: &[PublishRequest],
    patience: Patience,
) -> sqlx::Result<Vec<PublishResult>> {
    let mut results = vec![None; group.len()];
    let is_plain = group.iter().all(|pending| pending.request.key.is_none());
    if is_plain && patience == Patience::Usual {
        let events = events_to_append(group, &results);
        let appended = committer.publish(connection, events).await?;
        assign_positions(&mut results, group, &appended);
    } else {
        let mut transaction = Transaction::begin(connection).await?;
        patience.set(&mut transaction).await?;
        find_repeats(&mut transaction, group, &mut results).await?;
        let events = events_to_append(group, &results);
        let pending = committer.append_posted(&mut transaction, events).await?;
        assign_positions(&mut results, group, &pending.logs());
        idempotency::keep(&mut transaction, &key_answers(group, &results)).await?;
        committer.commit(transaction, pending).await?;
    }
    let result = |result: Option<_>| result.unwrap_or(Err(PublishError::Unconfirmed));
    Ok(results.into_iter().map(result).collect())
}

/// Claims the keys of the group, and sets the results of requests whose key was used before.
async fn find_repeats(
    connection: &mut PgConnection,
    group: &[PublishRequest],
    results: &mut [Option<PublishResult>],
) -> sqlx::Result<()> {
    let requests = group.iter().map(|pending| &pending.request);
    let mut keyed: Vec<_> = requests
        .zip(results)
        .filter_map(|(request, result)| Some((request.key.as_ref()?, result)))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    let keys: Vec<_> = keyed.iter().map(|(key, _)| *key).collect();
    let is_free = idempotency::claim(connection, &keys).await?;
    let used = keyed.into_iter().zip(is_free);
    for ((key, result), _) in used.filter(|(_, is_free)| !is_free) {
        *result = Some(earlier_result(connection, key).await?);
    }
    Ok(())
}

async fn earlier_result(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
) -> sqlx::Result<PublishResult> {
    Ok(match idempotency::taken(connection, &key.id).await? {
        Some(taken) if taken.body_hash == key.body_hash => Ok(Published {
            epoch: taken.epoch,
            first: taken.first,
            count: taken.count,
            is_repeat: true,
        }),
        Some(_) => Err(PublishError::KeyReused),
        None => Err(PublishError::Unconfirmed),
    })
}

/// The events of all requests that have no result yet.
fn events_to_append(
    group: &[PublishRequest],
    results: &[Option<PublishResult>],
) -> BTreeMap<BrokerId, Vec<NewEvent>> {
    let mut events: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (Pending { request, .. }, result) in group.iter().zip(results) {
        if result.is_none() {
            let of_broker = events.entry(request.broker.clone()).or_default();
            of_broker.extend(request.events.iter().cloned());
        }
    }
    events
}

/// Gives every request without a result the next positions of its log.
fn assign_positions(
    results: &mut [Option<PublishResult>],
    group: &[PublishRequest],
    appended: &[Appended],
) {
    let log = |log: &Appended| (log.broker.clone(), log.clone());
    let mut logs: BTreeMap<_, _> = appended.iter().map(log).collect();
    for (Pending { request, .. }, result) in group.iter().zip(results) {
        let Some(log) = logs.get_mut(&request.broker).filter(|_| result.is_none()) else {
            continue;
        };
        let count = i64::try_from(request.events.len()).unwrap_or(i64::MAX);
        *result = Some(Ok(Published {
            epoch: log.epoch.clone(),
            first: log.first,
            count,
            is_repeat: false,
        }));
        log.first += count;
    }
}

/// What the claimed keys stand for from now on.
fn key_answers<'a>(
    group: &'a [PublishRequest],
    results: &'a [Option<PublishResult>],
) -> Vec<KeyAnswer<'a>> {
    let answer = |(pending, result): (&'a PublishRequest, &'a Option<PublishResult>)| {
        let key = pending.request.key.as_ref()?;
        let published = result.as_ref()?.as_ref().ok()?;
        (!published.is_repeat).then_some(KeyAnswer {
            key,
            epoch: &published.epoch,
            first: published.first,
            count: published.count,
        })
    };
    group.iter().zip(results).filter_map(answer).collect()
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
