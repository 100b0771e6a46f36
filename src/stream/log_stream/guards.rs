//! What a stream keeps for as long as it is open, and which ends with it.

use std::time::Duration;

use crate::collab::PresenceGuard;
use crate::directory::{StreamWatch, rights};
use crate::fanout::Permit;
use crate::log::Rights;
use crate::platform::UserId;
use crate::sessions::SessionGuard;

/// They are dropped in this order.
pub(super) struct StreamGuards {
    pub(super) _permit: Permit,
    pub(super) session: SessionGuard,
    pub(super) attendance: PresenceGuard,
    pub(super) _watch: Option<Box<StreamWatch>>,
}

impl StreamGuards {
    pub(super) fn user(&self) -> &UserId {
        self.session.user()
    }

    /// The rights of the token that opened the stream.
    pub(super) fn rights(&self) -> Rights {
        rights::of_role(self.session.user(), self.session.role())
    }

    pub(super) fn has_joined(&self) -> bool {
        self.attendance.has_joined()
    }

    /// From now on, its user is present.
    pub(super) fn join(&mut self) {
        self.attendance.join(&self.session.teams());
    }

    /// The connection is broken: its client did not end it.
    pub(super) fn broken(&mut self) {
        self.session.broken();
    }

    /// Its client was asked to come back within this time.
    pub(super) fn back_within(&mut self, duration: Duration) {
        self.attendance.back_within(duration);
    }
}
