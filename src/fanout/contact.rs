//! Whether the log can be followed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When the follower last saw the database. After too long without it, streams are ended, so
/// that their clients reach an instance that has it.
#[derive(Debug)]
pub struct Contact {
    since: Instant,
    seen_ms: AtomicU64,
    patience: Duration,
}

impl Contact {
    /// Contact that was had just now, and counts as lost after `patience` without any.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            since: Instant::now(),
            seen_ms: AtomicU64::new(0),
            patience,
        }
    }

    pub fn seen(&self) {
        self.seen_at(Instant::now());
    }

    /// Whether it has not answered for too long.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost_at(Instant::now())
    }

    fn seen_at(&self, now: Instant) {
        let ms = (now - self.since).as_millis();
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        self.seen_ms.store(ms, Ordering::Relaxed);
    }

    fn is_lost_at(&self, now: Instant) -> bool {
        let seen = Duration::from_millis(self.seen_ms.load(Ordering::Relaxed));
        (now - self.since).saturating_sub(seen) > self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_is_lost_after_patience_and_found_again() {
        let contact = Contact::new(Duration::from_secs(10));
        let at = |seconds| contact.since + Duration::from_secs(seconds);
        assert!(!contact.is_lost_at(at(10)));
        assert!(contact.is_lost_at(at(11)));
        contact.seen_at(at(11));
        assert!(!contact.is_lost_at(at(21)));
        assert!(contact.is_lost_at(at(22)));
    }
}
