//! What the streams, the publishers and the conductor of one run share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::marker::{Marks, TAG_LEN};
use super::plan::Plan;
use super::units::nanos;
use crate::clock::Dice;

/// One read takes at most this much; all streams share the buffer.
const READ_BYTES: usize = 64 * 1024;
/// Longer latencies count as this long.
const MAX_LATENCY: Duration = Duration::from_hours(1);
const DIGITS: u8 = 3;

/// One run.
pub(super) struct Run {
    pub plan: Rc<Plan>,
    pub marks: Marks,
    pub ledger: RefCell<Ledger>,
    /// In microseconds, of the events that were due within the window.
    pub latency: RefCell<Histogram<u64>>,
    /// Receipts of any kind.
    pub received: Cell<u64>,
    pub window: Cell<Window>,
    /// Whether stalled streams may read again.
    pub resumed: watch::Sender<bool>,
    pub read_buffer: RefCell<Vec<u8>>,
    start: Instant,
}

/// The time that is measured, in nanoseconds of the run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    pub from: u64,
    pub to: u64,
}

impl Window {
    pub(super) fn holds(self, ns: u64) -> bool {
        (self.from..self.to).contains(&ns)
    }
}

impl Run {
    pub(super) fn new(plan: Rc<Plan>) -> Rc<Self> {
        Rc::new(Self {
            marks: Marks::new(&Dice::system().tag(TAG_LEN)),
            ledger: RefCell::new(Ledger::new(plan.args.topics)),
            latency: RefCell::new(histogram()),
            received: Cell::new(0),
            window: Cell::default(),
            resumed: watch::Sender::new(false),
            read_buffer: RefCell::new(vec![0; READ_BYTES]),
            start: Instant::now(),
            plan,
        })
    }

    /// Nanoseconds since the run began.
    pub(super) fn now_ns(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// The moment `ns` nanoseconds into the run.
    pub(super) fn at(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}

/// A histogram of microseconds.
pub(super) fn histogram() -> Histogram<u64> {
    let max = u64::try_from(MAX_LATENCY.as_micros()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, max, DIGITS).expect("the bounds are right")
}
