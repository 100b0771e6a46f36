//! Time as presence counts it: milliseconds since this instance began. It never jumps, so
//! that nobody comes or goes because a clock was set.

use std::time::Duration;

use tokio::time::Instant;

/// A moment, in milliseconds since this instance began; before that it is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    pub const NEVER: Self = Self(i64::MAX);

    /// So many milliseconds after this instance began.
    #[must_use]
    pub fn at_ms(ms: i64) -> Self {
        Self(ms)
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.plus_ms(ms)
    }

    /// So many milliseconds after it, or before.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How many milliseconds after `other` it is.
    #[must_use]
    pub fn ms_after(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

/// Says what moment it is.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// A stopwatch that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
