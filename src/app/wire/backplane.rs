//! Notices between the parts of this instance, and between instances.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::Wiring;
use crate::config::BackplaneSettings;
use crate::directory::Brokerages;
use crate::fanout::Fanout;
use crate::log::peers::postgres::PostgresBackplane;
use crate::log::peers::redis::{RedisBackplane, RedisParts};
use crate::log::peers::{Backplane, BackplaneParts};
use crate::log::{
    BackplaneState, BrokerSubscriptions, ChangeHints, CommitSharing, CommittedBatch,
    MembershipListener, PeerListener, PeerNotifier, PeerText, RedisTarget, TaskNotices,
};

/// Signals of other instances that may wait.
const WAITING_SIGNALS: usize = 4_096;
/// Changes of presence of other instances that may wait.
const WAITING_SIGNS: usize = 4_096;
/// Batches of other instances that may wait for the follower.
const WAITING_BATCHES: usize = 4_096;

/// Where the parts notify each other of changes.
pub(super) struct Notices {
    /// Logs that have grown, for the follower.
    pub(super) logs: ChangeHints,
    /// Logs with events that may become notifications.
    pub(super) notifiable: ChangeHints,
    pub(super) peers: PeerNotifier,
    pub(super) subscriptions: BrokerSubscriptions,
    pub(super) tasks: TaskNotices,
}

/// What other instances send.
pub(super) struct Peers {
    pub(super) state: Arc<BackplaneState>,
    pub(super) batches: mpsc::Receiver<CommittedBatch>,
    pub(super) presence: PresencePeers,
    pub(super) sessions: Arc<Notify>,
    pub(super) signals: mpsc::Receiver<String>,
}

/// What other instances send about presence.
pub(super) struct PresencePeers {
    pub(super) changes: Arc<Notify>,
    pub(super) signs: mpsc::Receiver<PeerText>,
}

/// The tasks of the backplane, before they are started.
struct PeerTasks {
    peer_notifier: PeerNotifier,
    /// `None`: this process only sends.
    peer_listener: Option<PeerListener>,
    state: Arc<BackplaneState>,
}

/// An address that is none was refused at start.
fn redis(settings: &BackplaneSettings) -> Option<RedisTarget> {
    settings.redis().ok().flatten()
}

impl Notices {
    pub(super) fn of(settings: &BackplaneSettings) -> Self {
        let subscriptions = match redis(settings) {
            Some(_) => BrokerSubscriptions::by_brokerage(),
            None => BrokerSubscriptions::default(),
        };
        let peers = if settings.carries_contents() {
            PeerNotifier::carrying_contents()
        } else {
            PeerNotifier::default()
        };
        Self {
            logs: ChangeHints::default(),
            notifiable: ChangeHints::default(),
            tasks: TaskNotices::with(&peers, &subscriptions),
            peers,
            subscriptions,
        }
    }
}

impl Wiring<'_> {
    /// Sends notices to the other instances, and listens to theirs.
    pub(super) fn peers(&self, notices: &Notices, brokerages: Option<&Brokerages>) -> Peers {
        let queues = &self.metrics.queues;
        let (signals, received_signals) = queues.channel("peer_signals", WAITING_SIGNALS);
        let (signs, received_signs) = queues.channel("peer_signs", WAITING_SIGNS);
        let (batches, received_batches) = queues.channel("peer_batches", WAITING_BATCHES);
        let membership =
            |known: &Brokerages| Arc::new(known.clone()) as Arc<dyn MembershipListener>;
        let is_external = redis(&self.config.backplane).is_some();
        let state = Arc::new(BackplaneState::new(is_external));
        let peer_listener = PeerListener {
            state: Arc::clone(&state),
            logs: notices.logs.clone(),
            batches,
            presence: Arc::default(),
            sessions: Arc::default(),
            tasks: notices.tasks.here.clone(),
            signals,
            signs,
            memberships: brokerages.map(membership),
        };
        let peers = Peers {
            state: Arc::clone(&state),
            batches: received_batches,
            presence: PresencePeers {
                changes: Arc::clone(&peer_listener.presence),
                signs: received_signs,
            },
            sessions: Arc::clone(&peer_listener.sessions),
            signals: received_signals,
        };
        let tasks = PeerTasks {
            peer_notifier: notices.peers.clone(),
            peer_listener: Some(peer_listener),
            state,
        };
        self.start_backplane(tasks, &notices.subscriptions);
        peers
    }

    /// Without Redis, the instances share their commits through the database.
    pub(super) fn sharing(&self, fanout: &Arc<Fanout>) -> Option<CommitSharing> {
        if redis(&self.config.backplane).is_some() {
            return None;
        }
        Some(CommitSharing {
            instance: Arc::clone(self.tasks.instance()),
            instances: self.instances.clone(),
            logs: Arc::clone(fanout) as _,
        })
    }

    /// Only sends notices.
    pub(super) fn peer_notifier(&self, notices: &Notices) {
        let tasks = PeerTasks {
            peer_notifier: notices.peers.clone(),
            peer_listener: None,
            state: Arc::default(),
        };
        self.start_backplane(tasks, &notices.subscriptions);
    }

    fn start_backplane(&self, tasks: PeerTasks, subscriptions: &BrokerSubscriptions) {
        let (pool, instance) = (self.database.core.clone(), self.tasks.instance());
        match redis(&self.config.backplane) {
            None => {
                let sender = self.connection("peer_notifier");
                let backplane = PostgresBackplane::new(
                    pool,
                    sender,
                    Arc::clone(instance),
                    self.instances.clone(),
                );
                self.start_peers(tasks, backplane);
            }
            Some(target) => {
                let backplane = RedisBackplane::new(RedisParts {
                    target,
                    pool,
                    instance: Arc::clone(instance),
                    subscriptions: subscriptions.clone(),
                    metrics: Arc::clone(&self.metrics),
                });
                self.start_peers(tasks, backplane);
            }
        }
    }

    fn start_peers(&self, tasks: PeerTasks, backplane: impl Backplane) {
        let parts = BackplaneParts {
            backplane: Arc::new(backplane),
            state: tasks.state,
            dice: self.dice(),
            stop: self.stop(),
        };
        self.tasks.spawn(parts.sending(tasks.peer_notifier));
        if let Some(peer_listener) = tasks.peer_listener {
            self.tasks.spawn(parts.receiving(peer_listener));
        }
    }
}
