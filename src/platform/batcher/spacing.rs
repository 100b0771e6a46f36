//! When the next batch may start.

use std::time::Duration;

use tokio::time::Instant;

use super::BatchLimits;

/// Requests that came together are expected to do so for this many intervals.
const CROWDED: u32 = 8;

#[derive(Debug)]
pub(super) struct Spacing {
    limits: BatchLimits,
    /// At least that of the limits.
    interval: Duration,
    /// Until then, requests that come one by one are expected to have company.
    crowded_until: Instant,
    pub(super) next_at: Instant,
}

impl Spacing {
    pub(super) fn new(limits: BatchLimits, now: Instant) -> Self {
        Self {
            limits,
            interval: limits.interval,
            crowded_until: now,
            next_at: now,
        }
    }

    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval.max(self.limits.interval);
    }

    /// A batch of `size` starts. `has_waited`: a request came before the last batch was done.
    ///
    /// The interval also holds after a single request, unless requests have come one by one for a while. A caller
    /// who sends one request after the other does not wait for others. Two such callers take turns: only a longer
    /// interval than that of the limits puts them together.
    pub(super) fn start(&mut self, size: usize, has_waited: bool, now: Instant) {
        let is_longer = self.interval > self.limits.interval;
        if size > 1 || (is_longer && has_waited) {
            self.crowded_until = now + self.interval * CROWDED;
        }
        let is_crowded = now < self.crowded_until;
        self.next_at = now;
        if is_crowded || self.limits.spaces_single_requests {
            self.next_at += self.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Dice;

    const SERVED_IN: Duration = Duration::from_millis(1);
    const RUN: Duration = Duration::from_secs(4);
    const LIMITS: BatchLimits = BatchLimits {
        name: "test",
        queue: 4_096,
        batch: 512,
        interval: Duration::from_millis(3),
        spaces_single_requests: false,
        answer_timeout: Duration::from_secs(8),
    };

    /// The batches that one batcher makes of requests at these moments.
    fn batches(arrivals: &[Instant], instances: u32) -> usize {
        let mut spacing = Spacing::new(LIMITS, arrivals[0]);
        spacing.set_interval(LIMITS.interval * instances);
        let (mut rest, mut done, mut count) = (arrivals, arrivals[0], 0);
        while let Some(first) = rest.first() {
            let has_waited = count > 0 && *first <= done;
            let start = (*first).max(done).max(spacing.next_at);
            let size = rest.partition_point(|arrival| *arrival <= start);
            spacing.start(size, has_waited, start);
            rest = &rest[size..];
            (done, count) = (start + SERVED_IN, count + 1);
        }
        count
    }

    /// The batches of all instances, when `per_second` requests go to them at random.
    fn batches_of_all(instances: usize, per_second: u32) -> usize {
        let (dice, start) = (Dice::seeded(7), Instant::now());
        let mean = Duration::from_secs(1) / per_second;
        let mut arrivals = vec![Vec::new(); instances];
        let mut at = start;
        while at < start + RUN {
            at += dice.between(Duration::ZERO, 2 * mean);
            let last = i64::try_from(instances).unwrap() - 1;
            let to = usize::try_from(dice.whole(0, last)).unwrap();
            arrivals[to].push(at);
        }
        let instances = u32::try_from(instances).unwrap();
        let all = arrivals.iter().map(|arrivals| batches(arrivals, instances));
        all.sum()
    }

    #[test]
    fn the_same_load_makes_no_more_batches_at_several_instances() {
        for per_second in [100, 300, 1_000, 2_000, 5_000] {
            let alone = batches_of_all(1, per_second);
            for instances in [2, 3, 5, 10] {
                let together = batches_of_all(instances, per_second);
                // Until the first ones come together, each request is served at once.
                assert!(
                    together <= alone + alone / 10,
                    "{per_second}/s: {together} at {instances}, {alone} at one"
                );
            }
        }
    }

    #[test]
    fn a_caller_who_sends_one_request_after_the_other_does_not_wait() {
        let mut spacing = Spacing::new(LIMITS, Instant::now());
        spacing.set_interval(5 * LIMITS.interval);
        let mut now = Instant::now();
        spacing.start(2, true, now);
        assert_eq!(spacing.next_at, now + 5 * LIMITS.interval);
        // The others have left.
        let waits = (0..100).filter(|_| {
            now = spacing.next_at.max(now + SERVED_IN);
            spacing.start(1, false, now);
            spacing.next_at > now
        });
        assert!(waits.count() <= 8);
        assert_eq!(spacing.next_at, now);
    }
}
