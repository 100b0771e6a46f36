//! Histograms that take no lock: an observation is two additions.

use std::time::Duration;

use crate::platform::figures::Count;

/// The ends of the buckets, in seconds. The last bucket has no end.
const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How long something took, in classic buckets.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [Count; BOUNDS.len() + 1],
    sum_us: Count,
}

/// The counts at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationCounts {
    pub sum_seconds: f64,
    /// The end of each bucket in seconds, and what is in this bucket alone.
    pub buckets: Vec<(f64, u64)>,
}

impl Durations {
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.counts[BOUNDS.partition_point(|end| *end < seconds)].add(1);
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.add(us);
    }

    #[must_use]
    pub fn counts(&self) -> DurationCounts {
        let ends = BOUNDS.into_iter().chain([f64::INFINITY]);
        let counts = self.counts.iter().map(Count::get);
        DurationCounts {
            sum_seconds: Duration::from_micros(self.sum_us.get()).as_secs_f64(),
            buckets: ends.zip(counts).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_ends_at_it_or_later() {
        let durations = Durations::default();
        for ms in [0, 1, 2, 10, 11, 10_000, 10_001, 60_000] {
            durations.observe(Duration::from_millis(ms));
        }
        let counts = durations.counts();
        let of = |end: f64| {
            let bucket = counts.buckets.iter().find(|(bound, _)| *bound >= end);
            bucket.unwrap().1
        };
        let found = [0.001, 0.0025, 0.005, 0.01, 0.025, 10.0, f64::INFINITY].map(of);
        assert_eq!(found, [2, 1, 0, 1, 1, 1, 2]);
        assert!((counts.sum_seconds - 80.025).abs() < 1e-9);
    }
}
