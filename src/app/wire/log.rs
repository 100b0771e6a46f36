//! The event log: committer, writer, relay, follower, and notices between instances.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::{Notices, Wiring};
use crate::directory::Brokerages;
use crate::fanout::{Fanout, Follower, FollowerParts, LogHandle, LogHealth};
use crate::inbox::notifications::notifier;
use crate::log::peers::listen::ListenerParts;
use crate::log::peers::{listen, notify};
use crate::log::{
    ChangeHints, CommitNotifier, CommitObserver, CommittedBatch, EventCommitter, LogObserver,
    MembershipListener, OutboxWatch, PeerListener, PeerNotifier, Relay, RelayRules, RelayWaker,
    TaskNotices, Writer, WriterParts,
};
use crate::platform::BackgroundTask;

/// Signals of other instances that may wait.
const WAITING_SIGNALS: usize = 4_096;

/// What other instances send.
pub(super) struct Peers {
    pub(super) presence: Arc<Notify>,
    pub(super) sessions: Arc<Notify>,
    pub(super) signals: mpsc::Receiver<String>,
}

/// The committer, and the follower's end of it.
pub(super) struct Commits {
    pub(super) committer: EventCommitter,
    pub(super) batches: mpsc::Receiver<CommittedBatch>,
}

impl Wiring<'_> {
    /// Sends notices to the other instances, and listens to theirs.
    pub(super) fn peers(
        &self,
        notices: &Notices,
        tasks: &TaskNotices,
        brokerages: Option<&Brokerages>,
    ) -> Peers {
        let (signals, received) = mpsc::channel(WAITING_SIGNALS);
        let membership =
            |known: &Brokerages| Arc::new(known.clone()) as Arc<dyn MembershipListener>;
        let peer_listener = PeerListener {
            logs: notices.logs.clone(),
            presence: Arc::default(),
            sessions: Arc::default(),
            tasks: tasks.here.clone(),
            signals,
            memberships: brokerages.map(membership),
        };
        let presence = Arc::clone(&peer_listener.presence);
        let sessions = Arc::clone(&peer_listener.sessions);
        let listening = listen::run(ListenerParts {
            pool: self.database.core.clone(),
            peer_listener,
            instance: self.tasks.instance().to_string(),
            dice: self.dice(),
            stop: self.stop(),
        });
        self.tasks
            .spawn(BackgroundTask::new("the peer listener", listening));
        self.peer_notifier(notices.peers.clone());
        Peers {
            presence,
            sessions,
            signals: received,
        }
    }

    pub(super) fn peer_notifier(&self, peers: PeerNotifier) {
        let instance = self.tasks.instance().to_string();
        let notifying = notify::run(self.connection(), peers, instance, self.stop());
        self.tasks
            .spawn(BackgroundTask::new("the peer notifier", notifying));
    }

    /// Commits go to the follower, the other instances, the notifier and the observer.
    pub(super) fn commits(&self, notices: &Notices, observer: &Arc<dyn LogObserver>) -> Commits {
        let (commits, batches) = CommitNotifier::new(notices.logs.clone(), notices.peers.clone());
        let notifiable = CommitObserver {
            hints: notices.notifiable.clone(),
            matters: notifier::may_notify,
        };
        let commits = commits.with_commit_observer(notifiable);
        let commits = commits.with_log_observer(Arc::clone(observer));
        let commits = commits.with_figures(self.figures.clone());
        let committer = EventCommitter::new(self.dice(), commits);
        Commits { committer, batches }
    }

    pub(super) fn writer(&self, committer: EventCommitter) -> Writer {
        let (writer, task) = Writer::start(WriterParts {
            database: self.connection(),
            committer,
            stop: self.stop(),
        });
        self.tasks.spawn(task);
        writer
    }

    /// Writes to our own tables wake the relay at once, and the outbox watch wakes it for all others.
    pub(super) fn relay(&self, committer: EventCommitter) -> RelayWaker {
        let waker = RelayWaker::default();
        let relay = Relay {
            database: self.connection(),
            committer,
            waker: waker.clone(),
            metrics: Arc::clone(&self.metrics),
            rules: RelayRules {
                event_bytes: self.limits().event_bytes,
                private_fields: Arc::new(self.modules()),
                signal_types: Arc::new(self.config.signals.signals.clone()),
            },
            stop: self.stop(),
        };
        self.tasks.spawn(relay.start());
        let watch = OutboxWatch {
            database: self.connection(),
            waker: waker.clone(),
            poll: self.config.database.relay_poll(),
            dice: self.dice(),
            stop: self.stop(),
        };
        self.tasks.spawn(watch.start());
        waker
    }

    pub(super) fn follower(
        &self,
        fanout: &Arc<Fanout>,
        committed: mpsc::Receiver<CommittedBatch>,
        hints: ChangeHints,
        observer: Arc<dyn LogObserver>,
    ) -> LogHandle {
        let poll = self.config.database.poll();
        // A follower with a long poll interval may miss one poll.
        let unavailable_after = self.config.streams.unavailable_after().max(3 * poll);
        let (log_handle, task) = Follower::start(FollowerParts {
            database: self.connection(),
            fanout: Arc::clone(fanout),
            committed,
            hints,
            observer,
            poll,
            metrics: Arc::clone(&self.metrics),
            dice: self.dice(),
            clock: self.clock(),
            health: Arc::new(LogHealth::new(unavailable_after)),
            stop: self.stop(),
        });
        self.tasks.spawn(task);
        log_handle
    }
}
