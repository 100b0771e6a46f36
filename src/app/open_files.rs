//! The limit on open files, which connections count against.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI64, Ordering};

use nix::sys::resource::{Resource, getrlimit};

use crate::platform::Clock;

/// This many files before the last one, the log warns. A file gets the lowest free number, so a high
/// number means that all lower ones are in use.
const SPARE_FILES: RawFd = 16;
const WARNING_INTERVAL_SECONDS: i64 = 60;

/// Warns before connections cannot be accepted for want of files.
#[derive(Debug)]
pub(super) struct OpenFiles {
    most: RawFd,
    clock: Clock,
    warned_at: AtomicI64,
}

impl OpenFiles {
    /// The limit of this process.
    pub(super) fn of_process(clock: Clock) -> Self {
        let most = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft);
        Self::new(most.ok().and_then(|most| most.try_into().ok()), clock)
    }

    fn new(most: Option<RawFd>, clock: Clock) -> Self {
        Self {
            most: most.unwrap_or(RawFd::MAX),
            clock,
            warned_at: AtomicI64::new(i64::MIN),
        }
    }

    /// Looks at a new connection. Costs one comparison until the limit is near.
    pub(super) fn check(&self, connection: &impl AsRawFd) {
        if self.is_due(connection.as_raw_fd()) {
            tracing::warn!(
                limit = self.most,
                "nearly all files that this process may open are in use, and without one no connection can be \
                 accepted: raise the hard limit (LimitNOFILE= of systemd, --ulimit nofile= of Docker, ulimit -Hn \
                 of a shell), or add an instance"
            );
        }
    }

    fn is_due(&self, file: RawFd) -> bool {
        if file < self.most - SPARE_FILES {
            return false;
        }
        let now = self.clock.now().unix_timestamp();
        let warned = self.warned_at.load(Ordering::Relaxed);
        let is_due = now >= warned.saturating_add(WARNING_INTERVAL_SECONDS);
        is_due
            && self
                .warned_at
                .compare_exchange(warned, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn the_last_files_are_reported_once_a_minute() {
        let seconds = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&seconds);
        let clock = Clock::of(move || {
            let seconds = time::Duration::seconds(shown.load(Ordering::Relaxed));
            OffsetDateTime::UNIX_EPOCH + seconds
        });
        let files = OpenFiles::new(Some(1_024), clock);
        assert!(!files.is_due(1_007));
        assert!(files.is_due(1_008) && !files.is_due(1_023));
        seconds.store(59, Ordering::Relaxed);
        assert!(!files.is_due(1_023));
        seconds.store(60, Ordering::Relaxed);
        assert!(files.is_due(1_020));
    }
}
