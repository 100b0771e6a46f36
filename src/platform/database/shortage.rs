//! Notes when the database has no connection for a pool.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Who got no connection tries again sooner than this, if it still needs one.
const RECENT: Duration = Duration::from_secs(30);

/// When somebody last waited for a connection in vain, unless a new one was opened since. That somebody gets one which
/// another has returned does not end a shortage.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortage(Arc<Mutex<Option<Instant>>>);

impl Shortage {
    pub(super) fn note(&self, has_failed: bool) {
        self.note_at(has_failed, Instant::now());
    }

    pub(super) fn is_now(&self) -> bool {
        self.is_at(Instant::now())
    }

    fn note_at(&self, has_failed: bool, now: Instant) {
        let mut failed_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *failed_at = has_failed.then_some(now);
    }

    fn is_at(&self, now: Instant) -> bool {
        let failed_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| now.saturating_duration_since(at) < RECENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_ends_with_a_connection_or_when_nobody_tries_any_more() {
        let (shortage, began) = (Shortage::default(), Instant::now());
        assert!(!shortage.is_at(began));
        shortage.note_at(true, began);
        assert!(shortage.is_at(began + RECENT / 2));
        assert!(!shortage.is_at(began + RECENT));
        shortage.note_at(true, began + RECENT);
        assert!(shortage.is_at(began + RECENT));
        shortage.note_at(false, began + RECENT);
        assert!(!shortage.is_at(began + RECENT));
    }
}
