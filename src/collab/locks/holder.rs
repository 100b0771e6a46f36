//! The holder of a lock, with the parts that are not published.

use time::OffsetDateTime;

use super::sessions::HolderSessions;
use super::{Holder, LockClaim, LockError};
use crate::log::Audience;
use crate::platform::{SessionName, UserId};

#[derive(Clone, Debug)]
pub(super) struct LockHolder {
    pub(super) user: UserId,
    pub(super) session: SessionName,
    pub(super) sessions: HolderSessions,
    /// Who received the `locked` event, and receives the `unlocked` event.
    pub(super) audience: Audience,
    pub(super) locked_at: OffsetDateTime,
    pub(super) renewed_at: OffsetDateTime,
    pub(super) locked_until: OffsetDateTime,
}

impl LockHolder {
    pub(super) fn granted(
        user: &UserId,
        claim: &LockClaim,
        audience: Audience,
        now: OffsetDateTime,
    ) -> Result<Self, LockError> {
        let mut holder = Self {
            user: user.clone(),
            session: claim.session.clone(),
            sessions: HolderSessions::default(),
            audience,
            locked_at: now,
            renewed_at: now,
            locked_until: now,
        };
        holder.extend(claim, now)?;
        Ok(holder)
    }

    /// Starts or renews the lease of one device.
    pub(super) fn extend(
        &mut self,
        claim: &LockClaim,
        now: OffsetDateTime,
    ) -> Result<(), LockError> {
        self.sessions.renew(&claim.session, claim.lease, now)?;
        self.renewed_at = now;
        self.update_end();
        Ok(())
    }

    /// Removes one device, or all of them. Returns whether any is left, and `None` if there was
    /// none to remove.
    pub(super) fn release(
        &mut self,
        session: Option<&SessionName>,
        now: OffsetDateTime,
    ) -> Option<bool> {
        self.renewed_at = now;
        let was_removed = self.sessions.remove(session, now);
        was_removed.then(|| self.update_end())
    }

    pub(super) fn holder(&self) -> Holder {
        Holder {
            user_id: self.user.clone(),
            session: self.session.clone(),
        }
    }

    /// The lock ends with its longest lease. The published session must be one of those left.
    fn update_end(&mut self) -> bool {
        let Some((longest, until)) = self.sessions.longest() else {
            return false;
        };
        self.locked_until = until;
        if !self.sessions.contains(&self.session, self.renewed_at) {
            self.session = longest.clone();
        }
        true
    }
}
