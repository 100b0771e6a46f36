//! What happens in each brokerage at this instance, counted for its admins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::BrokerId;

mod delays;

pub use delays::{DELAY_BUCKETS, DelayCounts, Delays, bound_ms, percentile_ms};

/// Brokerages that are counted at a time. When there are more, those that nobody uses are forgotten.
const MOST: usize = 65_536;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers of things with names, like codes. The names are those of the program.
#[derive(Debug, Default)]
pub struct NamedCounts(Mutex<BTreeMap<&'static str, u64>>);

impl NamedCounts {
    pub fn add(&self, name: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default() += 1;
    }

    #[must_use]
    pub fn get(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.iter().map(|(name, n)| ((*name).to_owned(), *n));
        counts.collect()
    }
}

/// What is counted of one brokerage. A write to a stream costs one addition.
#[derive(Debug, Default)]
pub struct BrokerageFigures {
    /// Events that this instance committed.
    pub published: Count,
    /// Events that were written to streams at once, by the time since their commit.
    pub delays: DelayCounts,
    /// Events that streams got from the table.
    pub replayed: Count,
    /// Events that were written to streams for which time does not count: those in memory that a client had
    /// missed, ephemeral ones, and those of streams that wait on purpose.
    pub untimed: Count,
    /// Streams that were opened.
    pub opened: Count,
    pub resets: Count,
    /// Streams that the service ended, by reason.
    pub closed: NamedCounts,
    /// Refused requests, by code.
    pub refusals: NamedCounts,
}

/// The numbers at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FigureTotals {
    pub published: u64,
    pub delays: Delays,
    pub replayed: u64,
    pub untimed: u64,
    pub opened: u64,
    pub resets: u64,
    pub refusals: u64,
}

impl BrokerageFigures {
    #[must_use]
    pub fn totals(&self) -> FigureTotals {
        FigureTotals {
            published: self.published.get(),
            delays: self.delays.get(),
            replayed: self.replayed.get(),
            untimed: self.untimed.get(),
            opened: self.opened.get(),
            resets: self.resets.get(),
            refusals: self.refusals.get().values().sum(),
        }
    }
}

impl FigureTotals {
    /// Events that were written to streams.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delays.sum() + self.replayed + self.untimed
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            published: self.published.saturating_sub(before.published),
            delays: self.delays.since(&before.delays),
            replayed: self.replayed.saturating_sub(before.replayed),
            untimed: self.untimed.saturating_sub(before.untimed),
            opened: self.opened.saturating_sub(before.opened),
            resets: self.resets.saturating_sub(before.resets),
            refusals: self.refusals.saturating_sub(before.refusals),
        }
    }

    /// Adds what another instance has counted.
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.delays.add(&other.delays);
        self.replayed += other.replayed;
        self.untimed += other.untimed;
        self.opened += other.opened;
        self.resets += other.resets;
        self.refusals += other.refusals;
    }
}

#[derive(Debug, Default)]
struct AllFigures {
    brokerages: FxHashMap<BrokerId, Arc<BrokerageFigures>>,
    /// The delays of brokerages that were forgotten: the delays of all never become less.
    forgotten: Delays,
}

/// The figures of all brokerages. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<RwLock<AllFigures>>);

impl Figures {
    /// The figures of a brokerage, which begin now if they are new.
    #[must_use]
    pub fn of(&self, broker: &BrokerId) -> Arc<BrokerageFigures> {
        if let Some(known) = self.find(broker) {
            return known;
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.brokerages.len() >= MOST {
            all.forget_unused();
        }
        Arc::clone(all.brokerages.entry(broker.clone()).or_default())
    }

    #[must_use]
    pub fn find(&self, broker: &BrokerId) -> Option<Arc<BrokerageFigures>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.brokerages.get(broker).cloned()
    }

    #[must_use]
    pub fn all(&self) -> Vec<(BrokerId, Arc<BrokerageFigures>)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let all = all.brokerages.iter();
        all.map(|(broker, figures)| (broker.clone(), Arc::clone(figures)))
            .collect()
    }

    /// How long the events of all brokerages took, since the start.
    #[must_use]
    pub fn delays(&self) -> Delays {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut delays = all.forgotten;
        for figures in all.brokerages.values() {
            delays.add(&figures.delays.get());
        }
        delays
    }
}

impl AllFigures {
    /// Forgets brokerages of which nobody has the figures.
    fn forget_unused(&mut self) {
        let forgotten = &mut self.forgotten;
        self.brokerages.retain(|_, figures| {
            let is_used = Arc::strong_count(figures) > 1;
            if !is_used {
                forgotten.add(&figures.delays.get());
            }
            is_used
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn totals_have_everything_that_was_counted() {
        let figures = Figures::default();
        let broker: BrokerId = "b".parse().unwrap();
        let before = figures.of(&broker).totals();
        let counted = figures.of(&broker);
        counted.published.add(3);
        counted.delays.add(Duration::from_millis(1), 4);
        counted.replayed.add(2);
        counted.untimed.add(1);
        counted.refusals.add("locked");
        counted.refusals.add("stale");
        counted.refusals.add("locked");
        let new = figures.of(&broker).totals().since(&before);
        assert_eq!(
            (new.published, new.delivered(), new.refusals),
            (3, 4 + 2 + 1, 3)
        );
        assert_eq!(counted.refusals.get()["locked"], 2);
        let mut both = new.clone();
        both.add(&new);
        assert_eq!(both.delivered(), 14);
        assert!(figures.find(&"c".parse().unwrap()).is_none());
    }

    #[test]
    fn the_delays_of_forgotten_brokerages_still_count() {
        let figures = Figures::default();
        let of = |name: &str| figures.of(&name.parse().unwrap());
        let used = of("used");
        used.delays.add(Duration::from_millis(1), 2);
        of("unused").delays.add(Duration::from_millis(1), 3);
        figures.0.write().unwrap().forget_unused();
        assert_eq!((figures.all().len(), figures.delays().sum()), (1, 5));
        of("unused").delays.add(Duration::from_millis(1), 1);
        assert_eq!(figures.delays().sum(), 6);
    }
}
