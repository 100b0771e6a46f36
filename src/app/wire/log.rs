//! The event log: committer, writer, relay and follower.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Wiring;
use super::backplane::Notices;
use crate::fanout::{Fanout, Follower, FollowerParts, LogHandle, LogHealth};
use crate::inbox::notifications::notifier;
use crate::log::{
    ChangeHints, CommitNotifier, CommitObserver, CommittedBatch, EventCommitter, LogObserver,
    OutboxWatch, Relay, RelayRules, RelayWaker, Writer, WriterParts,
};

/// The handles of the event log.
pub(super) struct EventLog {
    pub(super) committer: EventCommitter,
    pub(super) relay_waker: RelayWaker,
    pub(super) handle: LogHandle,
}

/// The committer, and the follower's end of it.
struct Commits {
    committer: EventCommitter,
    batches: mpsc::Receiver<CommittedBatch>,
}

/// What the follower receives.
struct FollowerBatches {
    committed: mpsc::Receiver<CommittedBatch>,
    received: mpsc::Receiver<CommittedBatch>,
}

impl Wiring<'_> {
    /// The committer, the relay and the follower, which also takes the batches that other instances send.
    pub(super) fn event_log(
        &self,
        notices: &Notices,
        fanout: &Arc<Fanout>,
        observer: Arc<dyn LogObserver>,
        received: mpsc::Receiver<CommittedBatch>,
    ) -> EventLog {
        let Commits { committer, batches } = self.commits(notices, &observer, fanout);
        let batches = FollowerBatches {
            committed: batches,
            received,
        };
        EventLog {
            relay_waker: self.relay(committer.clone()),
            handle: self.follower(fanout, batches, notices.logs.clone(), observer),
            committer,
        }
    }

    /// Commits go to the follower, the other instances, the notifier and the observer.
    fn commits(
        &self,
        notices: &Notices,
        observer: &Arc<dyn LogObserver>,
        fanout: &Arc<Fanout>,
    ) -> Commits {
        let (commits, batches) = CommitNotifier::new(
            notices.logs.clone(),
            notices.peers.clone(),
            &self.metrics.queues,
        );
        let notifiable = CommitObserver {
            hints: notices.notifiable.clone(),
            matters: notifier::may_notify,
        };
        let commits = commits.with_commit_observer(notifiable);
        let commits = commits.with_log_observer(Arc::clone(observer));
        let commits = commits.with_figures(self.figures.clone());
        let commits = commits.with_instances(self.instances.clone());
        let committer = EventCommitter::new(self.dice(), commits);
        let committer = committer.with_tracer(self.tracer.clone());
        let committer = committer.with_sharing(self.sharing(fanout));
        Commits { committer, batches }
    }

    pub(super) fn writer(&self, committer: EventCommitter) -> Writer {
        let (writer, tasks) = Writer::start(WriterParts {
            database: self.connection("writer"),
            held_logs: self.connection("held_logs"),
            queues: self.metrics.queues.clone(),
            instances: self.instances.clone(),
            publishing: self.publishing.clone(),
            committer,
            stop: self.stop(),
        });
        for task in tasks {
            self.tasks.spawn(task);
        }
        writer
    }

    /// Writes to our own tables wake the relay at once, and the outbox watch wakes it for all others.
    fn relay(&self, committer: EventCommitter) -> RelayWaker {
        let waker = RelayWaker::default();
        let relay = Relay {
            database: self.connection("relay"),
            committer,
            waker: waker.clone(),
            metrics: Arc::clone(&self.metrics),
            rules: RelayRules {
                event_bytes: self.request_limits().event_bytes,
                private_fields: Arc::new(self.modules()),
                signal_types: Arc::new(self.config.signals.signals.clone()),
                tracer: self.tracer.clone(),
            },
            stop: self.stop(),
        };
        self.tasks.spawn(relay.start());
        let watch = OutboxWatch {
            database: self.connection("outbox_watch"),
            waker: waker.clone(),
            poll: self.config.database.relay_poll(),
            instances: self.instances.clone(),
            dice: self.dice(),
            stop: self.stop(),
        };
        self.tasks.spawn(watch.start());
        waker
    }

    fn follower(
        &self,
        fanout: &Arc<Fanout>,
        batches: FollowerBatches,
        hints: ChangeHints,
        observer: Arc<dyn LogObserver>,
    ) -> LogHandle {
        let poll = self.config.database.poll();
        // A follower with a long poll interval may miss one poll.
        let unavailable_after = self.config.streams.unavailable_after().max(3 * poll);
        let (log_handle, task) = Follower::start(FollowerParts {
            database: self.connection("follower"),
            fanout: Arc::clone(fanout),
            committed: batches.committed,
            received: batches.received,
            waits_for_peers: self.config.backplane.carries_contents(),
            hints,
            observer,
            instances: self.instances.clone(),
            poll,
            metrics: Arc::clone(&self.metrics),
            dice: self.dice(),
            clock: self.clock(),
            health: Arc::new(LogHealth::new(unavailable_after)),
            tracer: self.tracer.clone(),
            stop: self.stop(),
        });
        self.tasks.spawn(task);
        log_handle
    }
}
