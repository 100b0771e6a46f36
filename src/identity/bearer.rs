//! The holder of a valid token.

use std::sync::Arc;

use time::OffsetDateTime;

use super::caller::{Caller, Role};
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
    /// The claim `jti`.
    pub token_id: Option<Arc<str>>,
    /// The user's name, if the token has it.
    pub name: Option<Arc<str>>,
}

impl Bearer {
    #[must_use]
    pub fn caller(self, broker: BrokerId) -> Caller {
        Caller {
            user: self.user,
            broker,
            teams: self.teams,
            role: self.role,
            expires_at: self.expires_at,
            token_id: self.token_id,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Identified {
    pub bearer: Bearer,
    /// Whether the token was verified now. Otherwise it was known already.
    pub is_new: bool,
}
