//! The receivers of notices.

use std::sync::Arc;

use tokio::sync::Notify;

use super::BackplaneState;
use crate::log::CommittedBatch;
use crate::log::hints::{ChangeHints, PeerText, TaskHints};
use crate::platform::{BrokerId, ChannelSender};

/// The receivers of notices.
#[derive(Clone, Debug)]
pub struct PeerListener {
    pub state: Arc<BackplaneState>,
    pub logs: ChangeHints,
    /// Committed events, for the follower. A batch that does not fit becomes a hint.
    pub batches: ChannelSender<CommittedBatch>,
    /// Woken when presence has changed on another instance.
    pub presence: Arc<Notify>,
    /// Woken when another instance has revoked or renewed something.
    pub sessions: Arc<Notify>,
    pub tasks: TaskHints,
    /// A signal that does not fit is dropped.
    pub signals: ChannelSender<String>,
    /// Changes of presence. Instead of one that does not fit, the table is read.
    pub signs: ChannelSender<PeerText>,
    pub memberships: Option<Arc<dyn MembershipListener>>,
}

/// Learns that users have moved between brokerages.
pub trait MembershipListener: std::fmt::Debug + Send + Sync {
    /// A notice came from the database.
    fn changed(&self, notice: &str);
    /// Notices may have been missed.
    fn missed(&self);
}

impl PeerListener {
    /// Notices arrive from now on. Those from before are lost, so everything counts as changed.
    pub(super) fn missed_any(&self) {
        self.state.set_receives(true);
        self.logs.grown_anywhere();
        self.presence.notify_one();
        self.sessions.notify_one();
        self.tasks.changed_anywhere();
        if let Some(memberships) = &self.memberships {
            memberships.missed();
        }
    }

    /// Notices about a brokerage may have been lost.
    pub(super) fn missed(&self, broker: &BrokerId) {
        self.logs.may_have_grown(broker);
        self.presence.notify_one();
        self.tasks.changed_anywhere();
    }

    /// Notices that are for all instances may have been lost.
    pub(super) fn missed_common(&self) {
        self.sessions.notify_one();
        self.tasks.changed_anywhere();
    }

    /// Changes of presence of a brokerage.
    pub(super) fn signs(&self, broker: &BrokerId, text: &str) {
        let (broker, text) = (broker.clone(), text.to_owned());
        if self.signs.try_send(PeerText { broker, text }).is_err() {
            self.presence.notify_one();
        }
    }

    /// Signals last seconds, so that it is not worth waiting for space.
    pub(super) fn signal(&self, line: &str) {
        let _ = self.signals.try_send(line.to_owned());
    }
}
