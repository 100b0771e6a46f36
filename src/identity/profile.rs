//! What a valid token says about its user.

use std::sync::Arc;

use crate::platform::{BrokerId, TeamId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserProfile {
    pub broker: BrokerId,
    pub user: UserId,
    pub teams: Arc<[TeamId]>,
    /// The user's name, if the token has it.
    pub name: Option<Arc<str>>,
}
