//! Sessions: revocations, renewals and tickets.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::backplane::{Notices, Peers};
use super::{Wiring, size};
use crate::collab::{Presence, StreamEvictor};
use crate::fanout::LogHealth;
use crate::identity::Verifier;
use crate::platform::{BrokerId, TeamId, UserId};
use crate::sessions::{
    MembershipParts, OpenSessionLimits, SessionHead, SessionObserver, SessionParts, SessionSync,
    SessionSyncParts, SessionUser, Sessions,
};

impl Wiring<'_> {
    /// The sessions of this instance, which learn what other instances revoke and renew.
    pub(super) fn sessions(
        &self,
        verifier: &Verifier,
        notices: &Notices,
        peers: &Peers,
        head: SessionHead,
    ) -> Sessions {
        let sessions = self.own_sessions(verifier, notices);
        self.session_sync(&sessions, peers, head);
        sessions
    }

    fn own_sessions(&self, verifier: &Verifier, notices: &Notices) -> Sessions {
        let (settings, quotas) = (&self.config.streams, &self.config.quotas);
        Sessions::new(SessionParts {
            pool: self.database.pool.clone(),
            asks: Mutex::new(self.connection("questions")),
            verifier: verifier.clone(),
            clock: self.clock(),
            instance: Arc::clone(self.tasks.instance()),
            queues: self.metrics.queues.clone(),
            peers: notices.peers.clone(),
            limits: OpenSessionLimits {
                streams_per_user: size(settings.streams_per_user),
                streams_per_brokerage: size(quotas.streams_per_brokerage),
                polls_per_user: size(quotas.polls_per_user),
                polls_per_brokerage: size(quotas.polls_per_brokerage),
            },
            health: LogHealth::new(settings.unavailable_after()),
        })
    }

    fn session_sync(&self, sessions: &Sessions, peers: &Peers, head: SessionHead) {
        self.tasks.spawn(SessionSync::task(SessionSyncParts {
            database: self.connection("session_sync"),
            sessions: sessions.clone(),
            peer_changes: Arc::clone(&peers.sessions),
            head,
            stop: self.stop(),
        }));
        let watch = sessions.watch_memberships(MembershipParts {
            database: self.connection("memberships"),
            sessions: sessions.clone(),
            rush: self.rush(),
            stop: self.stop(),
        });
        self.tasks.spawn(watch);
    }
}

/// Users who leave a team are not seen there any more.
pub(super) struct TeamChanges(pub(super) Presence);

impl SessionObserver for TeamChanges {
    fn left_team(&self, broker: &BrokerId, user: &UserId, team: &TeamId) {
        self.0.left_team(broker, user, team);
    }
}

/// Streams that are too many over all instances end.
pub(super) struct OldestStreams(pub(super) Sessions);

impl StreamEvictor for OldestStreams {
    fn keep_newest(&self, broker: &BrokerId, user: &UserId, most: usize) {
        let user = SessionUser {
            broker: broker.clone(),
            user: user.clone(),
        };
        self.0.keep_newest(&user, most);
    }
}
