//! What is counted of a queue that serves what waits as batches.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::platform::figures::Count;

/// What a batcher counts. A request costs a few additions and two looks at the clock.
#[derive(Debug)]
pub(in crate::platform) struct BatcherFigures {
    pub(super) name: &'static str,
    pub(super) limit: usize,
    created_at: Instant,
    entered: Count,
    pub(super) taken: Count,
    pub(super) refused: Count,
    pub(super) unanswered: Count,
    /// When the oldest waiting request came. 0: none is known.
    oldest_us: AtomicU64,
    /// How long batches were being served.
    busy_us: Count,
    /// Since when the current batch is. 0: there is none.
    busy_since_us: AtomicU64,
}

impl BatcherFigures {
    pub(super) fn new(name: &'static str, limit: usize) -> Self {
        Self {
            name,
            limit,
            created_at: Instant::now(),
            entered: Count::default(),
            taken: Count::default(),
            refused: Count::default(),
            unanswered: Count::default(),
            oldest_us: AtomicU64::new(0),
            busy_us: Count::default(),
            busy_since_us: AtomicU64::new(0),
        }
    }

    /// A request is about to be queued. Returns when.
    pub(in crate::platform) fn enter(&self) -> u64 {
        let now = self.now_us();
        self.enter_at(now);
        now
    }

    fn enter_at(&self, now_us: u64) {
        self.entered.add(1);
        self.note_oldest(now_us);
    }

    pub(in crate::platform) fn refuse(&self) {
        self.refused.add(1);
    }

    pub(in crate::platform) fn give_up(&self) {
        self.unanswered.add(1);
    }

    /// A batch is served from now on. Its last request came at `last_us`.
    pub(in crate::platform) fn take(&self, requests: usize, last_us: u64) {
        self.take_at(self.now_us(), requests as u64, last_us);
    }

    fn take_at(&self, now_us: u64, requests: u64, last_us: u64) {
        self.busy_since_us.store(now_us, Ordering::Relaxed);
        // In this order: a request that comes meanwhile is either seen here, or notes its own time.
        self.oldest_us.store(0, Ordering::SeqCst);
        self.taken.add(requests);
        if self.waiting() > 0 {
            // Those that still wait came later.
            self.note_oldest(last_us);
        }
    }

    /// The batch has been served.
    pub(in crate::platform) fn rest(&self) {
        self.rest_at(self.now_us());
    }

    fn rest_at(&self, now_us: u64) {
        self.busy_us.add(self.serving_us(now_us));
        self.busy_since_us.store(0, Ordering::Relaxed);
    }

    /// Whether a batch is being served, or a request waits.
    pub(in crate::platform) fn is_busy(&self) -> bool {
        self.busy_since_us.load(Ordering::Relaxed) != 0 || self.waiting() > 0
    }

    pub(super) fn waiting(&self) -> u64 {
        self.entered.get().saturating_sub(self.taken.get())
    }

    pub(super) fn oldest_us(&self, now_us: u64) -> u64 {
        match self.oldest_us.load(Ordering::SeqCst) {
            0 => 0,
            _ if self.waiting() == 0 => 0,
            since => now_us.saturating_sub(since),
        }
    }

    pub(super) fn busy_us(&self, now_us: u64) -> u64 {
        self.busy_us.get() + self.serving_us(now_us)
    }

    fn serving_us(&self, now_us: u64) -> u64 {
        match self.busy_since_us.load(Ordering::Relaxed) {
            0 => 0,
            since => now_us.saturating_sub(since),
        }
    }

    fn note_oldest(&self, us: u64) {
        let oldest = &self.oldest_us;
        let _ = oldest.compare_exchange(0, us, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Never 0.
    pub(super) fn now_us(&self) -> u64 {
        let us = self.created_at.elapsed().as_micros();
        u64::try_from(us).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_request_ages_until_it_is_taken() {
        let figures = BatcherFigures::new("q", 4);
        assert_eq!((figures.waiting(), figures.oldest_us(5)), (0, 0));
        assert!(!figures.is_busy());
        for at in [10, 20, 30] {
            figures.enter_at(at);
        }
        assert_eq!((figures.waiting(), figures.oldest_us(30)), (3, 20));
        figures.take_at(30, 2, 20);
        // It is as old as the one before it at most.
        assert_eq!((figures.waiting(), figures.oldest_us(40)), (1, 20));
        assert_eq!(figures.busy_us(45), 15);
        figures.rest_at(50);
        assert_eq!(figures.busy_us(90), 20);
        figures.take_at(90, 1, 30);
        assert_eq!((figures.waiting(), figures.oldest_us(95)), (0, 0));
        assert_eq!(figures.busy_us(95), 25);
        assert!(figures.is_busy());
        // A refused one does not wait, and one that comes now is new.
        figures.refuse();
        figures.enter_at(99);
        assert_eq!((figures.waiting(), figures.oldest_us(100)), (1, 1));
    }
}
