//! Logs that another transaction holds: an instance that is stuck, or somebody at a prompt. They must not stop the logs of
//! other brokerages: a task of its own serves them, one after the other.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc;

use super::groups::{GroupCommits, fail};
use super::{PublishError, PublishRequest, next_group};
use crate::platform::{BrokerId, ChannelSender, Queues};

/// Requests for held logs that may wait. Further ones are refused.
const MOST_WAITING: usize = 4_096;

/// The brokerages whose log was held when something was last published there, and how many requests of each wait.
/// Everything for such a log goes the same way until none waits, so that its order stays.
#[derive(Clone, Debug, Default)]
struct WaitingByLog(Arc<Mutex<FxHashMap<BrokerId, usize>>>);

impl WaitingByLog {
    fn lock(&self) -> MutexGuard<'_, FxHashMap<BrokerId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, broker: &BrokerId, requests: usize, is_free: bool) {
        let mut logs = self.lock();
        let Some(waiting) = logs.get_mut(broker) else {
            return;
        };
        *waiting -= requests;
        if is_free && *waiting == 0 {
            logs.remove(broker);
        }
    }
}

/// The writer's end: it hands on what is for held logs.
#[derive(Debug)]
pub(super) struct HeldLogs {
    waiting: WaitingByLog,
    queue: ChannelSender<PublishRequest>,
}

impl HeldLogs {
    /// The writer's end, and that of the task.
    pub(super) fn new(queues: &Queues, commits: GroupCommits) -> (Self, HeldLogTask) {
        let (queue, requests) = queues.channel("held_logs", MOST_WAITING);
        let waiting = WaitingByLog::default();
        let task = HeldLogTask {
            waiting: waiting.clone(),
            requests,
            commits,
            reported: FxHashSet::default(),
        };
        (Self { waiting, queue }, task)
    }

    /// Hands on the requests for held logs, and returns the others.
    pub(super) fn take_from(&self, group: Vec<PublishRequest>) -> Vec<PublishRequest> {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return group;
        }
        let is_held = |request: &PublishRequest| waiting.contains_key(&request.request.broker);
        let (held, free) = group.into_iter().partition(is_held);
        self.put(&mut waiting, held);
        free
    }

    /// Hands on a group of which one log is held. The others are free again as soon as they are served.
    pub(super) fn take_all(&self, group: Vec<PublishRequest>) {
        self.put(&mut self.waiting.lock(), group);
    }

    fn put(&self, waiting: &mut FxHashMap<BrokerId, usize>, group: Vec<PublishRequest>) {
        for request in group {
            let broker = request.request.broker.clone();
            match self.queue.try_send(request) {
                Ok(()) => *waiting.entry(broker).or_default() += 1,
                Err(refused) => refused.into_inner().answer(Err(PublishError::Busy)),
            }
        }
    }
}

/// Commits to held logs with short waits.
#[derive(Debug)]
pub(super) struct HeldLogTask {
    waiting: WaitingByLog,
    requests: mpsc::Receiver<PublishRequest>,
    commits: GroupCommits,
    /// Of these logs, a line was logged.
    reported: FxHashSet<BrokerId>,
}

impl HeldLogTask {
    /// Ends when the other end is dropped and all requests are answered.
    pub(super) async fn run(mut self) {
        let mut requests = Vec::new();
        while self.requests.recv_many(&mut requests, MOST_WAITING).await > 0 {
            for (broker, of_log) in by_brokerage(take(&mut requests)) {
                let count = of_log.len();
                let is_free = self.serve(&broker, of_log).await;
                self.waiting.answered(&broker, count, is_free);
            }
        }
    }

    /// Answers the requests for one log, and returns whether it is known to be free.
    async fn serve(&mut self, broker: &BrokerId, mut requests: Vec<PublishRequest>) -> bool {
        requests.retain(|request| !request.is_given_up());
        if requests.is_empty() {
            return false;
        }
        while !requests.is_empty() {
            let group = next_group(&mut requests);
            if let Err(left) = self.commits.serve(group).await {
                self.report(broker, &left.error);
                fail(left.requests, &PublishError::Busy);
                fail(requests, &PublishError::Busy);
                return false;
            }
        }
        self.reported.remove(broker);
        true
    }

    fn report(&mut self, broker: &BrokerId, error: &sqlx::Error) {
        if self.reported.insert(broker.clone()) {
            tracing::warn!(%broker, %error, "another transaction holds the log of a brokerage: its events are refused");
        }
    }
}

fn by_brokerage(requests: Vec<PublishRequest>) -> BTreeMap<BrokerId, Vec<PublishRequest>> {
    let mut logs: BTreeMap<BrokerId, Vec<_>> = BTreeMap::new();
    for request in requests {
        let of_log = logs.entry(request.request.broker.clone()).or_default();
        of_log.push(request);
    }
    logs
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::{LIMITS, Publication};
    use super::*;
    use crate::platform::Batcher;

    async fn group(brokers: &[&str]) -> Vec<PublishRequest> {
        let (queue, mut batches) =
            Batcher::new(LIMITS, &Queues::default(), CancellationToken::new());
        for broker in brokers {
            let publication = Publication {
                broker: broker.parse().unwrap(),
                events: Arc::default(),
                key: None,
            };
            drop(queue.send(publication));
        }
        batches.next().await.unwrap()
    }

    #[tokio::test]
    async fn a_log_counts_as_held_until_it_is_free_and_nothing_waits_for_it() {
        let (queue, _requests) = Queues::default().channel("held_logs", MOST_WAITING);
        let waiting = WaitingByLog::default();
        let held = HeldLogs { waiting, queue };
        let b = "b".parse().unwrap();
        let free = async |brokers: &[&str]| held.take_from(group(brokers).await).len();
        assert_eq!(free(&["b", "c"]).await, 2);
        held.take_all(group(&["b"]).await);
        assert_eq!(free(&["b", "c"]).await, 1);
        held.waiting.answered(&b, 1, true);
        assert_eq!(free(&["b", "b"]).await, 0, "another one waits");
        held.waiting.answered(&b, 3, false);
        assert_eq!(free(&["b"]).await, 0, "another transaction has it");
        held.waiting.answered(&b, 1, true);
        assert_eq!(free(&["b"]).await, 1);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_does_not_wait() {
        let (queue, mut requests) = Queues::default().channel("held_logs", 1);
        let waiting = WaitingByLog::default();
        let held = HeldLogs { waiting, queue };
        held.take_all(group(&["b", "b"]).await);
        assert!(requests.try_recv().is_ok() && requests.try_recv().is_err());
        assert_eq!(held.waiting.lock().values().sum::<usize>(), 1);
    }
}
