//! The open loop: events are sent when they are due, whether or not the server keeps up.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::args::BenchArgs;
use crate::publisher::{ANSWER_TIMEOUT, Publisher};
use crate::report::{Latency, Publishes};
use crate::schedule::{Lane, Posts, Schedule};
use crate::shared::Run;
use crate::units::per;

/// The publishers at work.
pub(crate) struct Publishing {
    run: Rc<Run>,
    posts: Rc<Posts>,
    tasks: JoinSet<()>,
}

impl Publishing {
    pub(crate) fn start(run: &Rc<Run>, schedule: Schedule) -> Self {
        let posts = Rc::new(Posts::new(schedule));
        let mut tasks = JoinSet::new();
        for lane in lanes(&run.plan.args) {
            let publisher = Publisher::new(run.clone(), posts.clone(), lane);
            tasks.spawn_local(publisher.run());
        }
        Self {
            run: run.clone(),
            posts,
            tasks,
        }
    }

    /// Waits until everything has been sent and answered.
    pub(crate) async fn done(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Waits a limited time for outstanding answers, and reports.
    pub(crate) async fn finish(mut self, over: Duration) -> Publishes {
        // Answers that are too late count as unanswered.
        let _ = timeout(ANSWER_TIMEOUT, self.done()).await;
        self.tasks.shutdown().await;
        let tally = self.posts.tally.borrow();
        let batch = u64::from(self.run.plan.args.batch);
        let unsent = self.posts.schedule.posts.saturating_sub(tally.sent_posts) * batch;
        Publishes {
            accepted: tally.accepted,
            accepted_per_second: per(tally.accepted, over.as_secs_f64()),
            refused: tally.refused,
            unanswered: tally.sent_posts * batch - tally.accepted - tally.refused,
            unsent,
            late: tally.late_posts * batch,
            first_problem: tally.first_problem.clone(),
            answer: Latency::of(&tally.answers),
        }
    }

    /// Stops at once: the server is gone.
    pub(crate) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// A lane for each publisher: one that all share, or one for each topic.
fn lanes(args: &BenchArgs) -> Vec<Rc<Lane>> {
    if args.sequential {
        let topics = 0..args.topics;
        return topics
            .map(|topic| Rc::new(Lane::new(topic, args.topics)))
            .collect();
    }
    let shared = Rc::new(Lane::new(0, 1));
    (0..args.publishers).map(|_| shared.clone()).collect()
}
