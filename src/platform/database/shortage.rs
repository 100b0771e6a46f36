//! Notes when the database has no connection for a pool.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Who got no connection tries again sooner than this, if it still needs one.
const RECENT: Duration = Duration::from_secs(30);
/// The longest pause between two tries to open a connection: a fifth of the limit of the wait, by sqlx.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// Every task that waits for a connection tries again within a second. One line of them says why.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// Whether somebody lately waited for a connection in vain, and not all others have got one since, of which at least one
/// was opened. That somebody gets one which another has returned does not end a shortage, and neither does a new one
/// while others wait: it may be the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortage(Arc<Mutex<LastOutcomes>>);

#[derive(Debug, Default)]
struct LastOutcomes {
    opened_at: Option<Instant>,
    /// Not if the shortage is over.
    failed_at: Option<Instant>,
    /// Those who wait for a connection now.
    waiting: usize,
    warned_at: Option<Instant>,
}

/// Somebody who waits for a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Shortage);

impl Waiting {
    pub(super) fn has_got_one(self) {
        self.0.last().got_one();
    }

    pub(super) fn has_failed(self) {
        self.0.failed_at(Instant::now());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut last = self.0.last();
        last.waiting = last.waiting.saturating_sub(1);
    }
}

impl LastOutcomes {
    /// The last one who has waited ends the shortage, if a connection was opened since.
    fn got_one(&mut self) {
        if self.waiting <= 1 && self.opened_at >= self.failed_at {
            self.failed_at = None;
        }
    }
}

impl Shortage {
    pub(super) fn opened(&self) {
        self.opened_at(Instant::now());
    }

    /// The server did not begin the session of a new connection.
    pub(super) fn refused(&self, error: &sqlx::Error) {
        let now = Instant::now();
        let is_due = |at| now.saturating_duration_since(at) >= BETWEEN_WARNINGS;
        let mut last = self.last();
        if last.warned_at.is_none_or(is_due) {
            last.warned_at = Some(now);
            tracing::warn!(%error, "a new connection to the database cannot be used");
        }
    }

    pub(super) fn wait(&self) -> Waiting {
        self.last().waiting += 1;
        Waiting(self.clone())
    }

    /// Whether somebody waits for a connection.
    pub(super) fn is_awaited(&self) -> bool {
        self.last().waiting > 0
    }

    pub(super) fn is_now(&self) -> bool {
        self.is_at(Instant::now())
    }

    fn opened_at(&self, now: Instant) {
        let mut last = self.last();
        last.opened_at = Some(now);
        last.got_one();
    }

    /// When a database is back, some get their connections a moment before others give up.
    fn failed_at(&self, now: Instant) {
        let mut last = self.last();
        let is_back = |opened| now.saturating_duration_since(opened) < BETWEEN_TRIES;
        if !last.opened_at.is_some_and(is_back) {
            last.failed_at = Some(now);
        }
    }

    fn is_at(&self, now: Instant) -> bool {
        let failed_at = self.last().failed_at;
        failed_at.is_some_and(|at| now.saturating_duration_since(at) < RECENT)
    }

    fn last(&self) -> MutexGuard<'_, LastOutcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_ends_with_a_connection_or_when_nobody_tries_any_more() {
        let (shortage, began) = (Shortage::default(), Instant::now());
        assert!(!shortage.is_at(began));
        shortage.failed_at(began);
        assert!(shortage.is_at(began + RECENT / 2));
        assert!(!shortage.is_at(began + RECENT));
        shortage.failed_at(began + RECENT);
        assert!(shortage.is_at(began + RECENT));
        shortage.opened_at(began + RECENT);
        assert!(!shortage.is_at(began + RECENT));
    }

    #[test]
    fn a_new_connection_does_not_end_a_shortage_while_others_wait() {
        let (shortage, began) = (Shortage::default(), Instant::now());
        let now = began + BETWEEN_TRIES;
        shortage.failed_at(began);
        let (one, other) = (shortage.wait(), shortage.wait());
        shortage.opened_at(now);
        one.has_got_one();
        assert!(shortage.is_at(now));
        // The other one fails, and tries again.
        shortage.failed_at(now + BETWEEN_TRIES);
        drop(other);
        let (one, other) = (shortage.wait(), shortage.wait());
        shortage.opened_at(now + 2 * BETWEEN_TRIES);
        one.has_got_one();
        assert!(shortage.is_at(now + 2 * BETWEEN_TRIES));
        other.has_got_one();
        assert!(!shortage.is_at(now + 2 * BETWEEN_TRIES));
    }

    #[test]
    fn a_wait_that_ends_when_others_have_just_got_a_connection_is_no_shortage() {
        let (shortage, opened) = (Shortage::default(), Instant::now());
        shortage.opened_at(opened);
        shortage.failed_at(opened + BETWEEN_TRIES / 2);
        assert!(!shortage.is_at(opened + BETWEEN_TRIES / 2));
        shortage.failed_at(opened + BETWEEN_TRIES);
        assert!(shortage.is_at(opened + BETWEEN_TRIES));
    }
}
