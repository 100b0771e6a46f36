//! How long events took over the time of a run, in slices: it shows when a fault began and ended.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::Slice;
use crate::shared::histogram;
use crate::units::{float, millis, nanos};

/// The slice of now, and those before.
pub(crate) struct Timeline {
    length_ns: u64,
    /// In microseconds, of the events that arrived in the current slice.
    current: Histogram<u64>,
    ends_ns: u64,
    slices: Vec<Slice>,
}

impl Timeline {
    pub(crate) fn new(slice: Duration) -> Self {
        let length_ns = nanos(slice).max(1);
        Self {
            length_ns,
            current: histogram(),
            ends_ns: length_ns,
            slices: Vec::new(),
        }
    }

    /// An event arrived `micros` after it was due.
    pub(crate) fn record(&mut self, now_ns: u64, micros: u64) {
        self.finish(now_ns);
        self.current.saturating_record(micros);
    }

    /// All slices up to now.
    pub(crate) fn slices(&mut self, now_ns: u64) -> Vec<Slice> {
        self.finish(now_ns.saturating_add(self.length_ns));
        std::mem::take(&mut self.slices)
    }

    /// Ends the current slice if it is over. Slices without an event are left out.
    fn finish(&mut self, now_ns: u64) {
        if now_ns < self.ends_ns {
            return;
        }
        if !self.current.is_empty() {
            let at = |quantile| millis(self.current.value_at_quantile(quantile));
            self.slices.push(Slice {
                seconds: float((self.ends_ns - self.length_ns) / 1_000_000) / 1e3,
                deliveries: self.current.len(),
                p50_ms: at(0.5),
                p99_ms: at(0.99),
                max_ms: millis(self.current.max()),
            });
            self.current.reset();
        }
        self.ends_ns = (now_ns / self.length_ns + 1) * self.length_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slice_has_the_events_that_arrived_in_it() {
        let ms = |ms: u64| ms * 1_000_000;
        let mut timeline = Timeline::new(Duration::from_millis(100));
        timeline.record(ms(10), 2_000);
        timeline.record(ms(99), 4_000);
        timeline.record(ms(350), 8_000);
        let slices = timeline.slices(ms(360));
        let seen: Vec<_> = slices
            .iter()
            .map(|slice| (slice.seconds, slice.deliveries, slice.max_ms.round()))
            .collect();
        assert_eq!(seen, [(0.0, 2, 4.0), (0.3, 1, 8.0)]);
        assert!(timeline.slices(ms(500)).is_empty());
    }
}
