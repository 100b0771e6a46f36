//! For how long a lock is had without another sign.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds that a lease may have.
pub const LEASE_SECONDS: RangeInclusive<u64> = 10..=3_600;
/// Seconds of a lease that nobody chose.
const USUAL_SECONDS: u64 = 300;

/// For how long a lock is had without another sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseDuration(u64);

/// A lease that is too short, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lease has {} to {} seconds", LEASE_SECONDS.start(), LEASE_SECONDS.end())]
pub struct InvalidLease;

impl LeaseDuration {
    /// A lease of so many seconds.
    pub fn of_seconds(seconds: u64) -> Result<Self, InvalidLease> {
        let is_valid = LEASE_SECONDS.contains(&seconds);
        is_valid.then_some(Self(seconds)).ok_or(InvalidLease)
    }

    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl Default for LeaseDuration {
    fn default() -> Self {
        Self(USUAL_SECONDS)
    }
}
