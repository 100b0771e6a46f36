//! The background loops of an instance: how busy each is, how long it has been at its current work, and what failed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::writer::{MetricSource, MetricWriter};
use crate::platform::figures::Count;

/// The meters of all loops of an instance. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Loops(Arc<Mutex<Vec<LoopMeter>>>);

/// Counts the work of one loop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LoopMeter(Arc<LoopFigures>);

#[derive(Debug)]
struct LoopFigures {
    name: &'static str,
    created_at: Instant,
    rounds: Count,
    failures: Count,
    busy_us: Count,
    /// Since when the current work runs. 0: there is none.
    since_us: AtomicU64,
}

/// A round of work that runs. It is over when this is dropped.
#[derive(Debug)]
pub struct LoopRound(Arc<LoopFigures>);

impl Loops {
    #[must_use]
    pub fn meter(&self, name: &'static str) -> LoopMeter {
        let meter = LoopMeter(Arc::new(LoopFigures {
            name,
            created_at: Instant::now(),
            rounds: Count::default(),
            failures: Count::default(),
            busy_us: Count::default(),
            since_us: AtomicU64::new(0),
        }));
        self.all().push(meter.clone());
        meter
    }

    fn all(&self) -> MutexGuard<'_, Vec<LoopMeter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoopMeter {
    /// A round begins. A loop has one at a time.
    #[must_use]
    pub fn begin(&self) -> LoopRound {
        let figures = &self.0;
        figures.since_us.store(figures.now_us(), Ordering::Relaxed);
        figures.rounds.add(1);
        LoopRound(Arc::clone(figures))
    }
}

impl LoopRound {
    /// Notes whether the round has failed.
    pub fn end<T, E>(self, outcome: &Result<T, E>) {
        if outcome.is_err() {
            self.0.failures.add(1);
        }
    }
}

impl Drop for LoopRound {
    fn drop(&mut self) {
        self.0.busy_us.add(self.0.running_us());
        self.0.since_us.store(0, Ordering::Relaxed);
    }
}

impl LoopFigures {
    fn running_us(&self) -> u64 {
        match self.since_us.load(Ordering::Relaxed) {
            0 => 0,
            since => self.now_us().saturating_sub(since),
        }
    }

    /// Never 0.
    fn now_us(&self) -> u64 {
        let us = self.created_at.elapsed().as_micros();
        u64::try_from(us).unwrap_or(u64::MAX).max(1)
    }
}

impl MetricSource for Loops {
    fn write(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let all = self.all().clone();
        let all = || {
            all.iter()
                .map(|meter| (&*meter.0, [("loop", meter.0.name)]))
        };
        let help = "Rounds of a background loop in which it worked in the database";
        let mut rounds = to.counters("loop_rounds", help)?;
        for (figures, labels) in all() {
            rounds.add(&labels, figures.rounds.get())?;
        }
        let help = "Rounds of a background loop that failed";
        let mut failures = to.counters("loop_failures", help)?;
        for (figures, labels) in all() {
            failures.add(&labels, figures.failures.get())?;
        }
        let help = "Seconds in which a background loop worked in the database";
        let mut busy = to.counters("loop_busy_seconds", help)?;
        for (figures, labels) in all() {
            let us = figures.busy_us.get() + figures.running_us();
            busy.add_seconds(&labels, Duration::from_micros(us).as_secs_f64())?;
        }
        let help = "Seconds since the current round of a background loop began, 0 between rounds";
        let mut running = to.gauges("loop_running_seconds", help)?;
        for (figures, labels) in all() {
            let running_for = Duration::from_micros(figures.running_us());
            running.add(&labels, running_for.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_counted_also_when_they_fail_or_are_given_up() {
        let loops = Loops::default();
        let meter = loops.meter("l");
        let is_running = || meter.0.since_us.load(Ordering::Relaxed) > 0;
        for outcome in [Ok(()), Err(())] {
            let round = meter.begin();
            assert!(is_running());
            round.end(&outcome);
            assert!(!is_running());
        }
        drop(meter.begin());
        assert!(!is_running());
        let figures = &meter.0;
        assert_eq!((figures.rounds.get(), figures.failures.get()), (3, 1));
    }
}
