//! Whoever holds a valid token, by what the token says.

use std::sync::Arc;

use time::OffsetDateTime;

use super::caller::{Caller, Role};
use crate::platform::{BrokerId, TeamId, UserId};

/// Whoever holds a valid token. A token may leave the broker to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub user: UserId,
    /// The tenant, where the token names one.
    pub broker: Option<BrokerId>,
    /// The user's teams: distinct, in the token's order, possibly none.
    pub teams: Arc<[TeamId]>,
    /// What the user may do.
    pub role: Role,
    /// When the token stops being valid.
    pub expires_at: OffsetDateTime,
    /// The token's own name (`jti`).
    pub token_id: Option<Arc<str>>,
    /// What the user is called, where the token says it.
    pub name: Option<Arc<str>>,
}

impl Bearer {
    /// The caller, at this broker.
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

/// The bearer of a token that counts.
#[derive(Clone, Debug)]
pub struct Identified {
    pub bearer: Bearer,
    /// The token was looked at closely, and not known from before.
    pub is_new: bool,
}
