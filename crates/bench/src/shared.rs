//! What the streams, the publishers and the mode of one run share.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ledger::Ledger;
use crate::marker::{Marks, TAG_LEN};
use crate::plan::Plan;
use crate::report::Slice;
use crate::timeline::Timeline;
use crate::units::nanos;

/// The size of the read buffer, which all streams share.
const READ_BYTES: usize = 64 * 1024;
/// Longer latencies count as this long.
const MAX_LATENCY: Duration = Duration::from_hours(1);
const DIGITS: u8 = 3;

pub(crate) struct Run {
    pub plan: Rc<Plan>,
    pub marks: Marks,
    pub ledger: RefCell<Ledger>,
    /// In microseconds, of the events that were due in the window.
    pub latency: RefCell<Histogram<u64>>,
    /// The same over time, if it is asked for.
    pub timeline: Option<RefCell<Timeline>>,
    /// Events received, of any kind.
    pub received: Cell<u64>,
    pub connected: Cell<u32>,
    pub stage: Cell<Stage>,
    pub window: Cell<Window>,
    /// Whether stalled streams may read again.
    pub resumed: watch::Sender<bool>,
    pub read_buffer: RefCell<Vec<u8>>,
    start: Instant,
    began_at: SystemTime,
    stage_start: Cell<Instant>,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Connecting,
    Publishing { rate: f64 },
    Holding,
    Preparing,
    Draining,
}

/// The measured time, in nanoseconds of the run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    pub from: u64,
    pub to: u64,
}

impl Window {
    pub(crate) fn holds(self, ns: u64) -> bool {
        (self.from..self.to).contains(&ns)
    }
}

impl Run {
    #[expect(
        clippy::disallowed_methods,
        reason = "a report says when it was made, and nothing is decided by it"
    )]
    pub(crate) fn new(plan: Rc<Plan>) -> Rc<Self> {
        let slice = plan.args.timeline.map(Duration::from_millis);
        Rc::new(Self {
            timeline: slice.map(|slice| RefCell::new(Timeline::new(slice))),
            began_at: SystemTime::now(),
            marks: Marks::new(&random_tag()),
            ledger: RefCell::new(Ledger::new(plan.args.topics)),
            latency: RefCell::new(histogram()),
            received: Cell::new(0),
            connected: Cell::new(0),
            stage: Cell::new(Stage::Connecting),
            window: Cell::default(),
            resumed: watch::Sender::new(false),
            read_buffer: RefCell::new(vec![0; READ_BYTES]),
            start: Instant::now(),
            stage_start: Cell::new(Instant::now()),
            plan,
        })
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// When the run began, in seconds since 1970.
    pub(crate) fn began_at(&self) -> f64 {
        let since = self.began_at.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs_f64()
    }

    /// The slices of the time so far, if they were asked for.
    pub(crate) fn slices(&self) -> Vec<Slice> {
        let timeline = self.timeline.as_ref();
        timeline.map_or_else(Vec::new, |timeline| {
            timeline.borrow_mut().slices(self.now_ns())
        })
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        self.stage_start.set(Instant::now());
    }

    pub(crate) fn stage_seconds(&self) -> f64 {
        self.stage_start.get().elapsed().as_secs_f64()
    }

    /// The moment `ns` nanoseconds into the run.
    pub(crate) fn at(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}

/// A tag that no other run has. The standard library seeds each hasher differently.
fn random_tag() -> String {
    let random = RandomState::new().hash_one(TAG_LEN);
    let hex = format!("{random:016x}");
    hex[..TAG_LEN].to_owned()
}

/// A histogram of microseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    let max = u64::try_from(MAX_LATENCY.as_micros()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, max, DIGITS).expect("the bounds are right")
}
