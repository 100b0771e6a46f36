//! The figures of the last minute, so that rates can be told.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::platform::BrokerId;
use crate::platform::figures::FigureTotals;

/// What is called the last minute.
pub(super) const MINUTE: Duration = Duration::from_mins(1);
/// The time between two samples that are kept. So a brokerage has seven at most: 2 KB, while anything happens.
const SPACING: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Sample {
    /// From then until `to`, nothing has changed.
    from: Instant,
    to: Instant,
    totals: FigureTotals,
}

/// What was counted in a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) figures: FigureTotals,
    pub(super) time: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Samples {
    brokerages: FxHashMap<BrokerId, VecDeque<Sample>>,
    lags: VecDeque<(Instant, Duration)>,
}

impl Samples {
    /// Adds the figures of all brokerages. Those that are not among them are forgotten.
    pub(super) fn add(&mut self, now: Instant, all: Vec<(BrokerId, FigureTotals)>) {
        let mut before = std::mem::take(&mut self.brokerages);
        for (broker, totals) in all {
            let mut samples = before.remove(&broker).unwrap_or_default();
            add_sample(&mut samples, now, totals);
            self.brokerages.insert(broker, samples);
        }
    }

    /// What was counted in about the last `age`, up to `totals` now. A brokerage whose first sample is newer had
    /// nothing before.
    pub(super) fn counted(
        &self,
        broker: &BrokerId,
        now: Instant,
        totals: &FigureTotals,
        age: Duration,
    ) -> Counted {
        let samples = self.brokerages.get(broker);
        let is_old = |sample: &&Sample| now.saturating_duration_since(sample.from) >= age;
        let before = samples.and_then(|all| all.iter().rev().find(is_old));
        let time = before.map_or(age, |before| {
            // Within the time of the sample, its totals are exact.
            let since_from = now.saturating_duration_since(before.from);
            now.saturating_duration_since(before.to)
                .max(age.min(since_from))
        });
        let nothing = FigureTotals::default();
        Counted {
            figures: totals.since(before.map_or(&nothing, |before| &before.totals)),
            time,
        }
    }

    pub(super) fn add_lag(&mut self, now: Instant, lag: Duration) {
        self.lags
            .retain(|(at, _)| now.saturating_duration_since(*at) < MINUTE);
        self.lags.push_back((now, lag));
    }

    /// The longest lag of the last minute.
    pub(super) fn longest_lag(&self) -> Duration {
        let lags = self.lags.iter().map(|(_, lag)| *lag);
        lags.max().unwrap_or_default()
    }
}

/// Keeps one sample that is older than a minute, and one for each ten seconds since. While nothing changes, the
/// last one is extended.
fn add_sample(samples: &mut VecDeque<Sample>, now: Instant, totals: FigureTotals) {
    match samples.back_mut() {
        Some(last) if last.totals == totals => last.to = now,
        _ => {
            let before_last = samples.len().checked_sub(2).and_then(|at| samples.get(at));
            let is_close = before_last
                .is_some_and(|before| now.saturating_duration_since(before.to) < SPACING);
            if is_close {
                samples.pop_back();
            }
            samples.push_back(Sample {
                from: now,
                to: now,
                totals,
            });
        }
    }
    let is_over = |sample: &Sample| now.saturating_duration_since(sample.from) >= MINUTE;
    while samples.get(1).is_some_and(is_over) {
        samples.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(published: u64) -> FigureTotals {
        FigureTotals {
            published,
            ..FigureTotals::default()
        }
    }

    #[test]
    fn rates_are_those_of_the_last_time_and_memory_is_bounded() {
        let broker: BrokerId = "b".parse().unwrap();
        let (mut samples, begin) = (Samples::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let new = samples.counted(&broker, at(0), &totals(7), SPACING);
        assert_eq!((new.figures.published, new.time), (7, SPACING));
        // One event a second, sampled every second, for five minutes.
        for second in 0..=300 {
            samples.add(at(second), vec![(broker.clone(), totals(second))]);
            assert!(samples.brokerages[&broker].len() <= 9);
        }
        let of = |seconds, age| samples.counted(&broker, at(seconds), &totals(300), age);
        let recent = of(300, SPACING);
        assert!((10..20).contains(&recent.time.as_secs()), "{recent:?}");
        assert_eq!(recent.figures.published, recent.time.as_secs());
        let minute = of(300, MINUTE);
        assert!((60..71).contains(&minute.time.as_secs()), "{minute:?}");
        assert_eq!(minute.figures.published, minute.time.as_secs());
        // Then nothing for two minutes.
        for second in 301..=420 {
            samples.add(at(second), vec![(broker.clone(), totals(300))]);
        }
        let quiet = samples.counted(&broker, at(420), &totals(300), MINUTE);
        assert_eq!(quiet.figures.published, 0);
        assert_eq!(samples.brokerages[&broker].len(), 1);
        samples.add(at(421), Vec::new());
        assert!(samples.brokerages.is_empty());
    }

    #[test]
    fn what_a_new_brokerage_has_in_its_first_sample_counts() {
        let [old, new] = ["old", "new"].map(|id| id.parse::<BrokerId>().unwrap());
        let (mut samples, begin) = (Samples::default(), Instant::now());
        samples.add(begin, vec![(old.clone(), totals(3))]);
        let at = begin + SPACING;
        samples.add(at, vec![(old.clone(), totals(3)), (new.clone(), totals(7))]);
        for (broker, now, of_minute) in [(&old, 3, 3), (&new, 7, 7), (&new, 8, 8)] {
            let counted = samples.counted(broker, at, &totals(now), MINUTE);
            assert_eq!(counted.figures.published, of_minute, "{broker}");
        }
        let later = at + MINUTE;
        samples.add(later, vec![(new.clone(), totals(7))]);
        let quiet = samples.counted(&new, later, &totals(7), MINUTE);
        assert_eq!(quiet.figures.published, 0);
    }

    #[test]
    fn a_lag_is_told_for_a_minute() {
        let (mut samples, begin) = (Samples::default(), Instant::now());
        samples.add_lag(begin, Duration::from_secs(3));
        samples.add_lag(begin + Duration::from_secs(30), Duration::from_millis(1));
        assert_eq!(samples.longest_lag(), Duration::from_secs(3));
        samples.add_lag(begin + Duration::from_secs(61), Duration::ZERO);
        assert_eq!(samples.longest_lag(), Duration::from_millis(1));
    }
}
