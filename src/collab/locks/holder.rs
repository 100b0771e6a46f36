//! A lock that is held, with all that only the service knows of it.

use time::OffsetDateTime;

use super::sessions::Sessions;
use super::{Holder, LockClaim, LockError};
use crate::log::Audience;
use crate::platform::{SessionName, UserId};

/// A lock that is held.
#[derive(Clone, Debug)]
pub(super) struct LockHolder {
    pub(super) user: UserId,
    pub(super) session: SessionName,
    pub(super) sessions: Sessions,
    pub(super) audience: Audience,
    pub(super) locked_at: OffsetDateTime,
    pub(super) renewed_at: OffsetDateTime,
    pub(super) locked_until: OffsetDateTime,
}

impl LockHolder {
    /// A new grant to this user.
    pub(super) fn granted(
        user: &UserId,
        claim: &LockClaim,
        audience: Audience,
        now: OffsetDateTime,
    ) -> Result<Self, LockError> {
        let mut held = Self {
            user: user.clone(),
            session: claim.session.clone(),
            sessions: Sessions::default(),
            audience,
            locked_at: now,
            renewed_at: now,
            locked_until: now,
        };
        held.keep(claim, now)?;
        Ok(held)
    }

    /// A sign of one of the holder's devices.
    pub(super) fn keep(&mut self, claim: &LockClaim, now: OffsetDateTime) -> Result<(), LockError> {
        self.sessions.keep(&claim.session, claim.lease, now)?;
        self.renewed_at = now;
        self.settle();
        Ok(())
    }

    /// One of the holder's devices leaves, or all of them. Says whether any stays;
    /// `None`: there was none to leave.
    pub(super) fn leave(
        &mut self,
        session: Option<&SessionName>,
        now: OffsetDateTime,
    ) -> Option<bool> {
        self.renewed_at = now;
        let has_left = self.sessions.leave(session, now);
        has_left.then(|| self.settle())
    }

    pub(super) fn holder(&self) -> Holder {
        Holder {
            user_id: self.user.clone(),
            session: self.session.clone(),
        }
    }

    /// The longest device decides, and the one that is shown must be among them.
    fn settle(&mut self) -> bool {
        let Some((longest, until)) = self.sessions.longest() else {
            return false;
        };
        self.locked_until = until;
        if !self.sessions.has(&self.session, self.renewed_at) {
            self.session = longest.clone();
        }
        true
    }
}
