//! How long events take: counts by time, in steps that double.

use std::array::from_fn;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Count;
use crate::platform::metrics::{DurationCounts, number};

/// The last bucket has no end.
pub const DELAY_BUCKETS: usize = 20;
/// The end of the first bucket. Each further one ends at twice the time of the one before: the last but one at
/// 65 seconds.
const FIRST_US: u64 = 250;

#[derive(Debug, Default)]
pub struct DelayCounts([Count; DELAY_BUCKETS]);

impl DelayCounts {
    pub fn add(&self, delay: Duration, events: u64) {
        self.0[bucket(delay)].add(events);
    }

    #[must_use]
    pub fn get(&self) -> Delays {
        Delays(from_fn(|at| self.0[at].get()))
    }
}

/// The counts at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays(pub [u64; DELAY_BUCKETS]);

impl Delays {
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(from_fn(|at| self.0[at].saturating_sub(before.0[at])))
    }

    /// The counts as a histogram in seconds. The sum takes each delay for the middle of its bucket: to add up exact
    /// delays would cost every write to a stream.
    #[must_use]
    pub fn histogram(&self) -> DurationCounts {
        let end = |at| bound_ms(at).map_or(f64::INFINITY, |ms| ms / 1_000.0);
        let buckets = self.0.iter().enumerate();
        let buckets: Vec<_> = buckets.map(|(at, count)| (end(at), *count)).collect();
        let mut begin = 0.0;
        let mut sum_seconds = 0.0;
        for (end, count) in &buckets {
            // The last bucket has no middle.
            let middle = if end.is_finite() {
                (begin + end) / 2.0
            } else {
                begin
            };
            sum_seconds += middle * number(*count);
            begin = *end;
        }
        DurationCounts {
            sum_seconds,
            buckets,
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }
}

fn bucket(delay: Duration) -> usize {
    let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
    let steps = (us / FIRST_US).checked_ilog2().map_or(0, |log| log + 1);
    usize::try_from(steps).map_or(DELAY_BUCKETS - 1, |at| at.min(DELAY_BUCKETS - 1))
}

/// The end of a bucket in milliseconds. The last one has none.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
pub fn bound_ms(bucket: usize) -> Option<f64> {
    (bucket + 1 < DELAY_BUCKETS).then(|| (FIRST_US << bucket) as f64 / 1_000.0)
}

/// The time within which so many percent came, as far as buckets tell. `None` without any.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn percentile_ms(delays: &Delays, percent: f64) -> Option<f64> {
    let all = delays.sum();
    if all == 0 {
        return None;
    }
    let wanted = all as f64 * percent / 100.0;
    let mut before = 0.0;
    for (at, count) in delays.0.iter().enumerate() {
        let count = *count as f64;
        if before + count < wanted || count == 0.0 {
            before += count;
            continue;
        }
        let from = at.checked_sub(1).and_then(bound_ms).unwrap_or(0.0);
        let to = bound_ms(at).unwrap_or(from);
        return Some(from + (to - from) * (wanted - before) / count);
    }
    bound_ms(DELAY_BUCKETS - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delay_is_in_the_bucket_that_ends_after_it() {
        for us in [0, 1, 249, 250, 499, 500, 999, 1_000, 100_000, 60_000_000] {
            let at = bucket(Duration::from_micros(us));
            let ms = Duration::from_micros(us).as_secs_f64() * 1_000.0;
            assert!(bound_ms(at).is_some_and(|end| ms < end), "{us} in {at}");
            let begin = at.checked_sub(1).and_then(bound_ms).unwrap_or(0.0);
            assert!(ms >= begin, "{us} in {at}");
        }
        assert_eq!(bucket(Duration::MAX), DELAY_BUCKETS - 1);
        assert_eq!(bound_ms(DELAY_BUCKETS - 1), None);
    }

    #[test]
    fn a_histogram_has_every_bucket_and_about_the_sum() {
        let counts = DelayCounts::default();
        let delays = [Duration::from_micros(100), Duration::from_millis(3)];
        for delay in delays {
            counts.add(delay, 10);
        }
        counts.add(Duration::from_mins(10), 1);
        let histogram = counts.get().histogram();
        assert_eq!(histogram.buckets.len(), DELAY_BUCKETS);
        assert_eq!(histogram.buckets[0], (0.000_25, 10));
        assert_eq!(histogram.buckets[4], (0.004, 10));
        assert_eq!(histogram.buckets[DELAY_BUCKETS - 1], (f64::INFINITY, 1));
        let sum = 10.0 * (0.000_125 + 0.003) + 65.536;
        assert!((histogram.sum_seconds - sum).abs() < 1e-9);
    }

    #[test]
    fn percentiles_are_within_their_bucket() {
        let counts = DelayCounts::default();
        assert_eq!(percentile_ms(&counts.get(), 50.0), None);
        counts.add(Duration::from_micros(600), 90);
        counts.add(Duration::from_millis(30), 9);
        counts.add(Duration::from_hours(1), 1);
        let delays = counts.get();
        assert_eq!(delays.sum(), 100);
        let of = |percent| percentile_ms(&delays, percent).unwrap();
        assert!((0.5..1.0).contains(&of(50.0)), "{}", of(50.0));
        assert!((16.0..=32.0).contains(&of(99.0)), "{}", of(99.0));
        assert!(of(99.9) >= 65_000.0, "{}", of(99.9));
        assert!(of(100.0) >= of(99.9));
    }
}
