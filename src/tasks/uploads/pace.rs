//! The speed at which a body must come.

use std::time::Duration;

use tokio::time::Instant;

/// The speed at which a body must come. In the first window, one byte is enough. Each window after
/// it must have its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub bytes_per_second: u32,
    pub window: Duration,
}

#[derive(Debug)]
pub(super) struct PaceMeter {
    pace: Pace,
    is_first: bool,
    ends_at: Instant,
    bytes: u64,
}

impl Pace {
    /// The bytes that a window must have.
    fn window_bytes(self) -> u64 {
        let seconds = self.window.as_secs();
        u64::from(self.bytes_per_second).saturating_mul(seconds)
    }
}

impl PaceMeter {
    pub(super) fn begin(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            is_first: true,
            ends_at: now + pace.window,
            bytes: 0,
        }
    }

    /// When the current window ends.
    pub(super) fn ends_at(&self) -> Instant {
        self.ends_at
    }

    pub(super) fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Ends a window and begins the next one. False when the body was too slow.
    pub(super) fn next_window(&mut self, now: Instant) -> bool {
        let is_enough = if self.is_first {
            self.bytes > 0
        } else {
            self.bytes >= self.pace.window_bytes()
        };
        self.is_first = false;
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

    /// Whether a body with these bytes in each window is fast enough.
    fn is_fast_enough(windows: &[usize]) -> bool {
        let mut now = Instant::now();
        let mut meter = PaceMeter::begin(PACE, now);
        windows.iter().all(|bytes| {
            meter.count(*bytes);
            now += PACE.window;
            assert_eq!(meter.ends_at(), now);
            meter.next_window(now)
        })
    }

    #[test]
    fn one_byte_must_come_in_the_first_window_and_enough_in_each_after_it() {
        assert!(!is_fast_enough(&[0]));
        assert!(is_fast_enough(&[1]));
        assert!(is_fast_enough(&[1, 1_000, 1_000, 5_000_000, 1_000]));
        assert!(!is_fast_enough(&[1, 999]));
        assert!(
            !is_fast_enough(&[5_000_000, 0]),
            "what came before does not count"
        );
    }
}
