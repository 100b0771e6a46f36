//! The open loop: events are sent when they are due, whether or not the server keeps up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::publisher::Publisher;
use super::report::{Latency, Publishes};
use super::shared::{Run, histogram};
use super::units::{nanos, per};

/// The timer's own lateness; anything beyond it is the load's and counts as latency.
const TIMER_SLACK_NS: u64 = 2_000_000;
/// What is due at the very end may be this late.
const GRACE_NS: u64 = 50_000_000;
/// Requests under way at the end get this long.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// When each POST is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub start_ns: u64,
    /// Between two POSTs; 0 for as fast as the server answers.
    pub interval_ns: u64,
    pub posts: u64,
    /// What is not sent by then is not sent.
    pub end_ns: u64,
}

/// How the publishing went.
pub(super) struct Tally {
    /// In microseconds, from when it was due to the end of the answer.
    pub answers: Histogram<u64>,
    pub accepted: u64,
    pub refused: u64,
    pub sent_posts: u64,
    pub first_problem: Option<String>,
}

/// The publishers at work.
pub(super) struct Publishing {
    run: Rc<Run>,
    shared: Rc<Shared>,
    tasks: JoinSet<()>,
}

pub(super) struct Shared {
    schedule: Schedule,
    next: Cell<u64>,
    pub tally: RefCell<Tally>,
}

impl Schedule {
    /// `rate` events a second from `start_ns` until `end_ns`.
    pub(super) fn steady(run: &Run, rate: f64, start_ns: u64, end_ns: u64) -> Self {
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
    pub(super) fn burst(run: &Run, events: u32) -> Self {
        let args = &run.plan.args;
        Self {
            start_ns: run.now_ns(),
            interval_ns: 0,
            posts: u64::from(events.div_ceil(args.batch)) * u64::from(args.topics),
            end_ns: u64::MAX,
        }
    }
}

impl Publishing {
    /// Starts publishing by `schedule`.
    pub(super) fn start(run: &Rc<Run>, schedule: Schedule) -> Self {
        let shared = Rc::new(Shared {
            schedule,
            next: Cell::new(0),
            tally: RefCell::new(Tally::default()),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..run.plan.args.publishers {
            let publisher = Publisher::new(run.clone(), shared.clone());
            tasks.spawn_local(publisher.run());
        }
        Self {
            run: run.clone(),
            shared,
            tasks,
        }
    }

    /// Waits until everything is sent and answered.
    pub(super) async fn done(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Waits for the answers under way, but not for ever, and reports.
    pub(super) async fn finish(mut self, over: Duration) -> Publishes {
        // Those that are too late count as unanswered.
        let _ = timeout(ANSWER_TIMEOUT, self.done()).await;
        self.tasks.shutdown().await;
        let tally = self.shared.tally.borrow();
        let batch = u64::from(self.run.plan.args.batch);
        let unsent = self.shared.schedule.posts.saturating_sub(tally.sent_posts) * batch;
        Publishes {
            accepted: tally.accepted,
            accepted_per_second: per(tally.accepted, over.as_secs_f64()),
            refused: tally.refused,
            unanswered: tally.sent_posts * batch - tally.accepted - tally.refused,
            unsent,
            first_problem: tally.first_problem.clone(),
            answer: Latency::of(&tally.answers),
        }
    }

    /// Stops at once: the server is gone.
    pub(super) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

impl Shared {
    /// The next POST: its number and when it is due.
    pub(super) fn take(&self) -> Option<(u64, u64)> {
        let number = self.next.get();
        let due = self.schedule.start_ns + number * self.schedule.interval_ns;
        if number >= self.schedule.posts || due >= self.schedule.end_ns {
            return None;
        }
        self.next.set(number + 1);
        Some((number, due))
    }

    /// The time from which latency counts, or `None` when it is too late to send.
    pub(super) fn counts_from(&self, due_ns: u64, now_ns: u64) -> Option<u64> {
        if now_ns >= self.schedule.end_ns.saturating_add(GRACE_NS) {
            return None;
        }
        let is_paced = self.schedule.interval_ns > 0;
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
            first_problem: None,
        }
    }
}
