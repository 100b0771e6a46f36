//! Presence's own clock: milliseconds since this instance started. It never jumps, so that nobody
//! appears to come or go when the system's clock is set.

use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since this instance started. Negative before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    pub const NEVER: Self = Self(i64::MAX);
    pub const BEFORE_ALL: Self = Self(i64::MIN);

    #[must_use]
    pub fn at_ms(ms: i64) -> Self {
        Self(ms)
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.plus_ms(ms)
    }

    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The milliseconds from `other` to this moment.
    #[must_use]
    pub fn ms_after(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
