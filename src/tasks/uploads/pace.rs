//! How fast a body must come.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a body must come. The first window is a grace: something must come in it. Each one
/// after it must bring its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes a second, at the least.
    pub bytes_per_second: u32,
    /// What the rate is measured over.
    pub window: Duration,
}

#[derive(Debug)]
pub(super) struct Watch {
    pace: Pace,
    is_grace: bool,
    ends_at: Instant,
    bytes: u64,
}

impl Pace {
    /// Bytes of one window, at the least.
    fn least(self) -> u64 {
        let seconds = self.window.as_secs();
        u64::from(self.bytes_per_second).saturating_mul(seconds)
    }
}

impl Watch {
    pub(super) fn begin(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            is_grace: true,
            ends_at: now + pace.window,
            bytes: 0,
        }
    }

    /// When the body is to be judged next.
    pub(super) fn ends_at(&self) -> Instant {
        self.ends_at
    }

    /// So many bytes came.
    pub(super) fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Ends a window and begins the next one. False when the body was too slow.
    pub(super) fn next_window(&mut self, now: Instant) -> bool {
        let is_enough = if self.is_grace {
            self.bytes > 0
        } else {
            self.bytes >= self.pace.least()
        };
        self.is_grace = false;
        self.bytes = 0;
        self.ends_at = now + self.pace.window;
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        bytes_per_second: 100,
        window: Duration::from_secs(10),
    };

    /// Whether a body goes on that brings so many bytes in each window.
    fn goes_on(windows: &[usize]) -> bool {
        let mut now = Instant::now();
        let mut watch = Watch::begin(PACE, now);
        windows.iter().all(|bytes| {
            watch.count(*bytes);
            now += PACE.window;
            assert_eq!(watch.ends_at(), now);
            watch.next_window(now)
        })
    }

    #[test]
    fn something_must_come_in_the_grace_and_enough_in_each_window_after_it() {
        assert!(!goes_on(&[0]));
        assert!(goes_on(&[1]));
        assert!(goes_on(&[1, 1_000, 1_000, 5_000_000, 1_000]));
        assert!(!goes_on(&[1, 999]));
        assert!(!goes_on(&[5_000_000, 0]), "what came before does not count");
    }
}
