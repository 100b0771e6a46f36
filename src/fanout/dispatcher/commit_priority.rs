//! Lets commits go before the streams of a long round.

use std::fmt;

use super::rounds::{SLICE, SLICE_BESIDE_COMMITS};

/// Knows whether this instance commits events at the moment.
pub struct CommitPriority(Box<dyn Fn() -> bool>);

impl fmt::Debug for CommitPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitPriority")
    }
}

impl CommitPriority {
    /// `are_under_way`: whether events are being committed, or wait for it.
    #[must_use]
    pub fn new(are_under_way: impl Fn() -> bool + 'static) -> Self {
        Self(Box::new(are_under_way))
    }

    /// How many streams are served before something else may run.
    pub(super) fn slice(&self) -> usize {
        if (self.0)() {
            SLICE_BESIDE_COMMITS
        } else {
            SLICE
        }
    }

    /// Lets other threads and processes on this core run first, if there are commits. A round can last longer than a
    /// commit, each step of which, in Postgres and in our background thread, would wait until the kernel takes the
    /// core from this thread.
    pub(super) fn go_first(&self) {
        if (self.0)() {
            std::thread::yield_now();
        }
    }
}
