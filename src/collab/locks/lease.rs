//! How long a lock lasts without a renewal.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The allowed lengths of a lease.
pub const LEASE_SECONDS: RangeInclusive<u64> = 10..=3_600;
const DEFAULT_SECONDS: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseDuration(u64);

/// A lease that is too short or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lease has {} to {} seconds", LEASE_SECONDS.start(), LEASE_SECONDS.end())]
pub struct InvalidLease;

impl LeaseDuration {
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
        Self(DEFAULT_SECONDS)
    }
}
