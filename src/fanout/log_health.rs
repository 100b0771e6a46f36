//! Whether the follower can read the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Long before an alert says that the follower has not read.
const MOST_FRESH: Duration = Duration::from_millis(2_500);

/// When the follower last read the database. After too long without success, streams are ended,
/// so that their clients reach an instance that has the database.
#[derive(Debug)]
pub struct LogHealth {
    created_at: Instant,
    /// Milliseconds from `created_at` to the last success.
    success_ms: AtomicU64,
    /// The longest lag since it was last taken, in microseconds.
    lag_us: AtomicU64,
    patience: Duration,
}

impl LogHealth {
    /// Starts as available, and becomes unavailable after `patience` without success.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            created_at: Instant::now(),
            success_ms: AtomicU64::new(0),
            lag_us: AtomicU64::new(0),
            patience,
        }
    }

    pub fn record_success(&self) {
        self.record_success_at(Instant::now());
    }

    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.is_unavailable_at(Instant::now())
    }

    /// Whether the last success was so lately that nobody needs to look again who only wants to know this.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.last_success() < MOST_FRESH.min(self.patience / 3)
    }

    /// How long ago the last success was.
    #[must_use]
    pub fn last_success(&self) -> Duration {
        let success = Duration::from_millis(self.success_ms.load(Ordering::Relaxed));
        self.created_at.elapsed().saturating_sub(success)
    }

    /// An event was in memory so long after its commit.
    pub fn record_lag(&self, lag: Duration) {
        let us = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.lag_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The longest lag since this was last called.
    #[must_use]
    pub fn take_lag(&self) -> Duration {
        Duration::from_micros(self.lag_us.swap(0, Ordering::Relaxed))
    }

    fn record_success_at(&self, now: Instant) {
        let ms = (now - self.created_at).as_millis();
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        self.success_ms.store(ms, Ordering::Relaxed);
    }

    fn is_unavailable_at(&self, now: Instant) -> bool {
        let success = Duration::from_millis(self.success_ms.load(Ordering::Relaxed));
        (now - self.created_at).saturating_sub(success) > self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_unavailable_after_patience_and_available_after_a_success() {
        let health = LogHealth::new(Duration::from_secs(10));
        let at = |seconds| health.created_at + Duration::from_secs(seconds);
        assert!(!health.is_unavailable_at(at(10)));
        assert!(health.is_unavailable_at(at(11)));
        health.record_success_at(at(11));
        assert!(!health.is_unavailable_at(at(21)));
        assert!(health.is_unavailable_at(at(22)));
    }
}
