//! Whether many clients arrive at the moment. What can wait then lets the heads of their answers go first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Arrivals are counted in windows of this length.
const WINDOW_MS: u64 = 50;
/// More arrivals than these in a window, or in the one before, are a rush.
const MOST_CALM: u64 = 20;
/// A rush is over when nobody has arrived for so long.
pub const RUSH_END: Duration = Duration::from_millis(50);
/// What waits for the end of a rush waits at most so long.
pub const LONGEST_RUSH_WAIT: Duration = Duration::from_millis(500);

const COUNT_BITS: u32 = 16;
const MOST_COUNTED: u64 = (1 << COUNT_BITS) - 1;

/// Counts the streams that open at this instance. Cheap to clone.
#[derive(Clone)]
pub struct ArrivalRush(Arc<RushState>);

struct RushState {
    now: Box<dyn Fn() -> Duration + Send + Sync>,
    windows: AtomicU64,
    /// The time of the last arrival of a rush in milliseconds, and one more. 0: there was none.
    last_ms: AtomicU64,
}

/// The number of a window, the arrivals in it, and those in the window before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Windows {
    number: u64,
    before: u64,
    now: u64,
}

impl Windows {
    fn unpacked(packed: u64) -> Self {
        Self {
            number: packed >> (2 * COUNT_BITS),
            before: (packed >> COUNT_BITS) & MOST_COUNTED,
            now: packed & MOST_COUNTED,
        }
    }

    fn packed(self) -> u64 {
        (self.number << (2 * COUNT_BITS)) | (self.before << COUNT_BITS) | self.now
    }

    /// With one more arrival in the window of this number.
    fn with_arrival(self, number: u64) -> Self {
        match number.saturating_sub(self.number) {
            0 => Self {
                now: (self.now + 1).min(MOST_COUNTED),
                ..self
            },
            1 => Self {
                number,
                before: self.now,
                now: 1,
            },
            _ => Self {
                number,
                before: 0,
                now: 1,
            },
        }
    }

    fn is_rush(self) -> bool {
        self.now > MOST_CALM || self.before > MOST_CALM
    }
}

impl Default for ArrivalRush {
    fn default() -> Self {
        let began = Instant::now();
        Self::at(move || began.elapsed())
    }
}

impl fmt::Debug for ArrivalRush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArrivalRush")
    }
}

impl ArrivalRush {
    /// Clients arrive at the times that `now` returns, since any moment.
    pub fn at(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(RushState {
            now: Box::new(now),
            windows: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
        }))
    }

    /// Counts a client that arrives now, and returns whether it is one of many.
    #[must_use]
    pub fn arrive(&self) -> bool {
        self.arrive_at(self.now_ms())
    }

    fn arrive_at(&self, now_ms: u64) -> bool {
        // Threads that count at the same moment may lose an arrival, which does not matter.
        let known = Windows::unpacked(self.0.windows.load(Ordering::Relaxed));
        let windows = known.with_arrival(now_ms / WINDOW_MS);
        self.0.windows.store(windows.packed(), Ordering::Relaxed);
        let is_rush = windows.is_rush();
        if is_rush {
            self.0.last_ms.store(now_ms + 1, Ordering::Relaxed);
        }
        is_rush
    }

    /// Waits for the end of a rush, or for [`LONGEST_RUSH_WAIT`].
    pub async fn end(&self) {
        let until = Instant::now() + LONGEST_RUSH_WAIT;
        while self.is_on_at(self.now_ms()) && Instant::now() < until {
            sleep(RUSH_END).await;
        }
    }

    fn is_on_at(&self, now_ms: u64) -> bool {
        let last_ms = self.0.last_ms.load(Ordering::Relaxed);
        let since = Duration::from_millis((now_ms + 1).saturating_sub(last_ms));
        last_ms > 0 && since < RUSH_END
    }

    fn now_ms(&self) -> u64 {
        u64::try_from((self.0.now)().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_arrivals_in_a_short_time_are_a_rush_which_ends_with_them() {
        let rush = ArrivalRush::default();
        for _ in 0..MOST_CALM {
            assert!(!rush.arrive_at(5));
        }
        assert!(!rush.is_on_at(5));
        assert!(rush.clone().arrive_at(5) && rush.is_on_at(5));
        assert!(rush.arrive_at(5 + WINDOW_MS), "the window before counts");
        let end = 5 + WINDOW_MS + u64::try_from(RUSH_END.as_millis()).unwrap();
        assert!(rush.is_on_at(end - 1) && !rush.is_on_at(end));
        assert!(!rush.arrive_at(end) && !rush.is_on_at(end));
    }

    #[test]
    fn windows_fit_one_number() {
        let windows = Windows {
            number: 7_000_000,
            before: MOST_COUNTED,
            now: 3,
        };
        assert_eq!(Windows::unpacked(windows.packed()), windows);
        assert_eq!(windows.with_arrival(7_000_000).now, 4);
        assert_eq!(windows.with_arrival(7_000_001).before, 3);
        assert!(!windows.with_arrival(7_000_002).is_rush());
    }
}
