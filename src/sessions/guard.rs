//! What whoever opened a stream or a long poll holds while it is open.

use std::sync::Arc;

use super::open::{OpenSessions, SessionUser};
use crate::directory::StreamAddress;
use crate::identity::Role;
use crate::platform::{Principal, TeamId, UserId};

/// Removes a session when it is dropped.
pub struct SessionGuard {
    pub(super) sessions: OpenSessions,
    /// The key of the user's sessions.
    pub(super) user: Arc<SessionUser>,
    pub(super) address: StreamAddress,
    /// The role of the token. A fresh token has the same.
    pub(super) role: Role,
    // Not the whole kind: a stream has this in memory while it is open.
    pub(super) is_poll: bool,
    pub(super) is_broken: bool,
}

impl SessionGuard {
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user.user
    }

    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The teams of the token that opened it.
    #[must_use]
    pub fn teams(&self) -> Arc<[TeamId]> {
        let table = self.sessions.table();
        let mut sessions = table.users.get(&self.user).into_iter().flatten();
        let own = sessions.find(|session| session.address.is(&self.address));
        own.map(|session| Arc::clone(&session.teams))
            .unwrap_or_default()
    }

    /// The connection is broken: its client did not end it.
    pub fn broken(&mut self) {
        self.is_broken = true;
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let Some(ended) = self.sessions.table().remove(self) else {
            return;
        };
        // Programs that are not here are missed, however they left.
        let is_person = ended.role.principal() == Principal::Person;
        if ended.is_stream() && !ended.is_dismissed && (self.is_broken || !is_person) {
            self.sessions.lost().add(&self.user);
        }
    }
}
