//! A limit for log lines that could become a flood: it admits some lines of each kind per second, and
//! counts the others.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::platform::clock::Clock;

/// The most kinds; one more removes all of them.
const MOST_KINDS: usize = 4_096;
/// How often the number of left out lines is logged.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);
const SECOND: time::Duration = time::Duration::SECOND;

#[derive(Debug)]
struct KindCount {
    second_began: OffsetDateTime,
    logged: u32,
    left_out: u64,
}

#[derive(Debug)]
pub struct LineLimit<K> {
    per_second: u32,
    clock: Clock,
    kinds: Mutex<FxHashMap<K, KindCount>>,
}

impl<K: Eq + Hash + Clone> LineLimit<K> {
    /// Admits `per_second` lines of each kind.
    #[must_use]
    pub fn new(per_second: u32, clock: Clock) -> Self {
        Self {
            per_second,
            clock,
            kinds: Mutex::default(),
        }
    }

    /// Whether a line of this kind is to be logged; otherwise it is counted.
    pub fn admits(&self, kind: &K) -> bool {
        let now = self.clock.now();
        let mut kinds = self.kinds();
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(kind) {
            kinds.clear();
        }
        let fresh = || KindCount {
            second_began: now,
            logged: 0,
            left_out: 0,
        };
        let known = kinds.entry(kind.clone()).or_insert_with(fresh);
        if !is_within(known, now) {
            (known.second_began, known.logged) = (now, 0);
        }
        let is_admitted = known.logged < self.per_second;
        if is_admitted {
            known.logged += 1;
        } else {
            known.left_out += 1;
        }
        is_admitted
    }

    /// How many lines of each kind were left out since the last call.
    #[must_use]
    pub fn left_out(&self) -> Vec<(K, u64)> {
        let now = self.clock.now();
        let mut kinds = self.kinds();
        let left_out = kinds.iter_mut().filter_map(|(kind, known)| {
            let count = std::mem::take(&mut known.left_out);
            (count > 0).then(|| (kind.clone(), count))
        });
        let left_out = left_out.collect();
        kinds.retain(|_, known| is_within(known, now));
        left_out
    }

    /// Calls `log` with the numbers of left out lines, regularly and at the end.
    pub async fn sum_up(&self, stop: CancellationToken, log: impl Fn(&K, u64)) {
        let mut ticks = interval(SUMMARY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = stop.cancelled() => true,
                _ = ticks.tick() => false,
            };
            for (kind, count) in self.left_out() {
                log(&kind, count);
            }
            if is_last {
                return;
            }
        }
    }

    fn kinds(&self) -> MutexGuard<'_, FxHashMap<K, KindCount>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the current second of a kind continues. A clock that was set back begins a new one.
fn is_within(kind: &KindCount, now: OffsetDateTime) -> bool {
    let age = now - kind.second_began;
    !age.is_negative() && age < SECOND
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// A limit of two lines a second, and its time in milliseconds.
    fn limit() -> (LineLimit<&'static str>, Arc<AtomicI64>) {
        let ms = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&ms);
        let clock = Clock::of(move || {
            let ms = time::Duration::milliseconds(shown.load(Ordering::Relaxed));
            OffsetDateTime::UNIX_EPOCH + ms
        });
        (LineLimit::new(2, clock), ms)
    }

    #[test]
    fn so_many_lines_of_a_kind_are_logged_in_a_second_and_the_others_are_counted() {
        let (limit, ms) = limit();
        let admitted = |kind| (0..5).filter(|_| limit.admits(&kind)).count();
        assert_eq!(admitted("a"), 2);
        assert_eq!(admitted("b"), 2, "another kind has lines of its own");
        ms.store(999, Ordering::Relaxed);
        assert_eq!(admitted("a"), 0);
        ms.store(1_000, Ordering::Relaxed);
        assert_eq!(admitted("a"), 2);
        let mut left_out = limit.left_out();
        left_out.sort_unstable();
        assert_eq!(left_out, [("a", 11), ("b", 3)]);
        assert_eq!(limit.left_out(), [], "each is summed up once");
    }

    #[test]
    fn a_flood_costs_two_lines_a_second_however_long_it_is() {
        let (limit, ms) = limit();
        let mut logged = 0;
        for now in 0..60_000 {
            ms.store(now, Ordering::Relaxed);
            logged += usize::from(limit.admits(&"a"));
        }
        assert_eq!(logged, 120);
        assert_eq!(limit.left_out(), [("a", 60_000 - 120)]);
    }

    #[test]
    fn kinds_that_are_quiet_are_forgotten_and_a_clock_may_be_set_back() {
        let (limit, ms) = limit();
        ms.store(5_000, Ordering::Relaxed);
        assert!(limit.admits(&"a") && limit.admits(&"a") && !limit.admits(&"a"));
        ms.store(0, Ordering::Relaxed);
        assert!(limit.admits(&"a"));
        ms.store(2_000, Ordering::Relaxed);
        assert_eq!(limit.left_out(), [("a", 1)]);
        assert_eq!(limit.kinds().len(), 0);
    }

    #[test]
    fn kinds_are_bounded() {
        let (_, ms) = self::limit();
        let clock = Clock::of(move || {
            OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms.load(Ordering::Relaxed))
        });
        let limit = LineLimit::new(1, clock);
        for kind in 0..=MOST_KINDS {
            assert!(limit.admits(&kind));
        }
        assert_eq!(limit.kinds().len(), 1);
    }
}
