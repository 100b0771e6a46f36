//! A genuine token that says what its holder is called.

use std::sync::Arc;

use crate::ids::{BrokerId, UserId};

/// Somebody, and what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Where they are known.
    pub broker: BrokerId,
    /// Who they are.
    pub user: UserId,
    /// What they are called.
    pub name: Arc<str>,
}
