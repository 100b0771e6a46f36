//! The holder of a valid token.

use std::sync::Arc;

use time::OffsetDateTime;

use super::caller::{Caller, Role};
use super::credential::Credential;
use crate::platform::{BrokerId, TeamId, UserId};

/// The holder of a valid token. If the token names no brokerage, it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub user: UserId,
    /// The brokerage, if the token names it.
    pub broker: Option<BrokerId>,
    /// Distinct, in the token's order.
    pub teams: Arc<[TeamId]>,
    pub role: Role,
    pub expires_at: OffsetDateTime,
    pub credential: Arc<Credential>,
}

impl Bearer {
    /// The caller at a brokerage, whose revocations were not asked.
    pub(super) fn caller(self, broker: BrokerId) -> Caller {
        Caller {
            user: self.user,
            broker,
            teams: self.teams,
            role: self.role,
            expires_at: self.expires_at,
            credential: self.credential,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Identified {
    pub bearer: Bearer,
    /// Whether the token was verified now. Otherwise it was known already.
    pub is_new: bool,
}
