//! Durations and limits of tasks.

use std::ops::RangeInclusive;
use std::time::Duration;

const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);

#[derive(Clone, Debug)]
pub struct TaskRules {
    pub usual_lease_seconds: u32,
    pub lease_seconds: RangeInclusive<u32>,
    /// How long a worker may take to confirm a cancellation.
    pub cancel: Duration,
    /// The delay after the first attempt. It doubles with each attempt.
    pub backoff: Duration,
    /// The largest result, whole or partial: an event must have room for it.
    pub event_bytes: usize,
}

impl TaskRules {
    #[must_use]
    pub fn retry_delay(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
        self.backoff
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(MAX_RETRY_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delays_double_up_to_a_limit() {
        let rules = TaskRules {
            usual_lease_seconds: 30,
            lease_seconds: 5..=60,
            cancel: Duration::from_secs(30),
            backoff: Duration::from_secs(2),
            event_bytes: 1,
        };
        let delays: Vec<_> = (1..=10).map(|n| rules.retry_delay(n).as_secs()).collect();
        assert_eq!(delays, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
