//! How long things last.

use std::ops::RangeInclusive;
use std::time::Duration;

/// No rest between two attempts is longer.
const LONGEST_REST: Duration = Duration::from_mins(5);

#[derive(Clone, Debug)]
pub struct TaskRules {
    /// Seconds of a lease that nobody chose.
    pub usual_lease_seconds: u32,
    /// Seconds that a lease may have.
    pub lease_seconds: RangeInclusive<u32>,
    /// How long a worker may take to acknowledge that a task is to end.
    pub cancel: Duration,
    /// The rest after the first attempt; it doubles with each.
    pub backoff: Duration,
    /// Bytes that results, whole or partial, may have, so that an event can carry them.
    pub event_bytes: usize,
}

impl TaskRules {
    /// How long a task rests after so many attempts.
    #[must_use]
    pub fn rest_after(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
        self.backoff
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(LONGEST_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_and_have_an_end() {
        let rules = TaskRules {
            usual_lease_seconds: 30,
            lease_seconds: 5..=60,
            cancel: Duration::from_secs(30),
            backoff: Duration::from_secs(2),
            event_bytes: 1,
        };
        let rests: Vec<_> = (1..=10).map(|n| rules.rest_after(n).as_secs()).collect();
        assert_eq!(rests, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
