//! When each POST is due, and what came of the ones before: shared by all publishers.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::shared::{Run, histogram};
use crate::units::nanos;

/// The lateness of the timer itself. Anything beyond it is the load's and counts as latency.
const TIMER_SLACK_NS: u64 = 2_000_000;
/// A POST that is sent later than this counts as late.
const LATE_NS: u64 = 10_000_000;
/// A POST that is due at the very end may be this late.
const GRACE_NS: u64 = 50_000_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub start_ns: u64,
    /// The time between two POSTs; 0 for as fast as the server answers.
    pub interval_ns: u64,
    pub posts: u64,
    /// What has not been sent by then is not sent.
    pub end_ns: u64,
}

pub(crate) struct Tally {
    /// In microseconds, from when a POST was due to the end of its answer.
    pub answers: Histogram<u64>,
    pub accepted: u64,
    pub refused: u64,
    pub sent_posts: u64,
    /// POSTs that were sent late.
    pub late_posts: u64,
    pub first_problem: Option<String>,
}

/// The schedule and the tally.
pub(crate) struct Posts {
    pub schedule: Schedule,
    pub tally: RefCell<Tally>,
}

/// The POSTs that publishers take: all in turn, or those of one topic.
pub(crate) struct Lane {
    next: Cell<u64>,
    step: u64,
}

impl Lane {
    /// The first POST and the distance to the next.
    pub(crate) fn new(first: u32, step: u32) -> Self {
        Self {
            next: Cell::new(u64::from(first)),
            step: u64::from(step),
        }
    }
}

/// One POST of the schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post {
    pub number: u64,
    pub due_ns: u64,
}

impl Schedule {
    /// `rate` events a second from `start_ns` until `end_ns`.
    pub(crate) fn steady(run: &Run, rate: f64, start_ns: u64, end_ns: u64) -> Self {
        let interval = Duration::from_secs_f64(f64::from(run.plan.args.batch) / rate);
        let interval_ns = nanos(interval).max(1);
        let posts = (end_ns - start_ns).div_ceil(interval_ns);
        Self {
            start_ns,
            interval_ns,
            posts,
            end_ns,
        }
    }

    /// At least `events` to each topic, as fast as the server answers.
    pub(crate) fn burst(run: &Run, events: u32) -> Self {
        let args = &run.plan.args;
        Self {
            start_ns: run.now_ns(),
            interval_ns: 0,
            posts: u64::from(events.div_ceil(args.batch)) * u64::from(args.topics),
            end_ns: u64::MAX,
        }
    }
}

impl Posts {
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            tally: RefCell::new(Tally::default()),
        }
    }

    /// Takes the next POST of a lane, until there is none.
    pub(crate) fn take(&self, lane: &Lane) -> Option<Post> {
        let number = lane.next.get();
        let due_ns = self.schedule.start_ns + number * self.schedule.interval_ns;
        if number >= self.schedule.posts || due_ns >= self.schedule.end_ns {
            return None;
        }
        lane.next.set(number + lane.step);
        Some(Post { number, due_ns })
    }

    /// The time from which latency counts, or `None` when it is too late to send.
    pub(crate) fn counts_from(&self, due_ns: u64, now_ns: u64) -> Option<u64> {
        if now_ns >= self.schedule.end_ns.saturating_add(GRACE_NS) {
            return None;
        }
        let is_paced = self.schedule.interval_ns > 0;
        if is_paced && now_ns > due_ns + LATE_NS {
            self.tally.borrow_mut().late_posts += 1;
        }
        Some(if is_paced {
            now_ns.min(due_ns + TIMER_SLACK_NS)
        } else {
            now_ns
        })
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            answers: histogram(),
            accepted: 0,
            refused: 0,
            sent_posts: 0,
            late_posts: 0,
            first_problem: None,
        }
    }
}
