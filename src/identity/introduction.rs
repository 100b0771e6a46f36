//! A genuine token says who its holder is, and maybe what they are called.

use std::sync::Arc;

use crate::platform::{BrokerId, TeamId, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    pub broker: BrokerId,
    pub user: UserId,
    pub teams: Arc<[TeamId]>,
    /// What they are called, where their token says it.
    pub name: Option<Arc<str>>,
}
