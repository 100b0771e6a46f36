//! A genuine token says who its holder is, and maybe what they are called.

use std::sync::Arc;

use crate::ids::{BrokerId, TeamId, UserId};

/// Somebody who has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Where they are known.
    pub broker: BrokerId,
    /// Who they are.
    pub user: UserId,
    /// Whom they work with.
    pub teams: Arc<[TeamId]>,
    /// What they are called, where their token says it.
    pub name: Option<Arc<str>>,
}
