//! Reads output for all streams of an instance in one background task.
//!
//! A reader asks for what comes at its position, and is answered when there is something. Until
//! then the request waits here without a query. It is tried again when a notice names its task, or
//! when the safety net finds that the task has changed. The safety net is one statement for all
//! waiting requests. Requests for the same position share a read.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::query::{self, ReadOutcome};
use super::reader::{OutputAnswer, OutputPosition, ReadPosition};
use crate::log::{TaskChanges, TaskHints, TaskKey};
use crate::platform::BackgroundTask;
use crate::platform::{BatchLimits, Batcher, Batches, DedicatedConnection, Metrics, Pending};

/// Positions that one statement reads.
const MOST_READ: usize = 64;
/// Positions that one statement of the safety net checks.
const MOST_CHECKED: usize = 10_000;
/// From the beginning of one round to that of the next. Requests in between are read together.
const ROUND_INTERVAL: Duration = Duration::from_millis(5);
/// The safety net pauses at least so many times as long as it took.
const CHECK_PAUSE_FACTOR: u32 = 20;
/// How long the loader waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// After so long without the database, streams end, so that clients connect to another instance.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

const LIMITS: BatchLimits = BatchLimits {
    name: "output",
    queue: 1_024,
    batch: 1_024,
    // The loader limits its rounds itself, because hints start rounds as well.
    interval: Duration::ZERO,
    spaces_single_requests: true,
    // Requests wait for as long as their stream is open.
    answer_timeout: Duration::MAX,
};

type OutputAnswers = Vec<oneshot::Sender<OutputAnswer>>;

/// Sends requests to the output loader.
#[derive(Clone, Debug)]
pub struct OutputReads(Batcher<ReadPosition, OutputAnswer>);

#[derive(Debug)]
pub struct OutputLoaderParts {
    pub database: DedicatedConnection,
    pub hints: TaskHints,
    /// The interval of the safety net.
    pub poll: Duration,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

struct OutputLoader {
    parts: OutputLoaderParts,
    ready: FxHashMap<ReadPosition, OutputAnswers>,
    /// Requests for positions with no output yet, by task.
    waiting: FxHashMap<TaskKey, FxHashMap<OutputPosition, OutputAnswers>>,
    next_round: Instant,
    next_check: Instant,
    failing_since: Option<Instant>,
}

impl OutputReads {
    /// The sending side, and the loader's background task.
    #[must_use]
    pub fn start(parts: OutputLoaderParts) -> (Self, BackgroundTask) {
        let (reads, batches) = Batcher::new(LIMITS, &parts.metrics.queues, parts.stop.clone());
        let now = Instant::now();
        let loader = OutputLoader {
            parts,
            ready: FxHashMap::default(),
            waiting: FxHashMap::default(),
            next_round: now,
            next_check: now,
            failing_since: None,
        };
        let task = BackgroundTask::new("the loader of output", loader.run(batches));
        (Self(reads), task)
    }

    /// Asks for what comes at a position. The answer comes when there is something. None when the
    /// loader has stopped.
    pub(super) async fn ask(
        &self,
        position: &ReadPosition,
    ) -> Option<oneshot::Receiver<OutputAnswer>> {
        self.0.send_when_room(position.clone()).await.ok()
    }
}

impl OutputLoader {
    /// Stops at once: readers learn of it because their answers do not come.
    async fn run(mut self, batches: Batches<ReadPosition, OutputAnswer>) {
        let stop = self.parts.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.rounds(batches) => {}
        }
    }

    async fn rounds(&mut self, mut batches: Batches<ReadPosition, OutputAnswer>) {
        let hints = self.parts.hints.clone();
        loop {
            // A request that comes alone finds this moment long past.
            sleep_until(self.next_round).await;
            let batch = tokio::select! {
                biased;
                batch = batches.next() => match batch {
                    Some(batch) => batch,
                    None => return,
                },
                () = hints.arrived() => Vec::new(),
                () = self.due() => Vec::new(),
            };
            self.accept(batch);
            self.round().await;
        }
    }

    fn accept(&mut self, batch: Vec<Pending<ReadPosition, OutputAnswer>>) {
        for pending in batch {
            let (position, answer) = pending.into_parts();
            self.ready.entry(position).or_default().push(answer);
        }
    }

    /// Waits until there is something to do without a request or a hint.
    async fn due(&self) {
        if !self.ready.is_empty() {
            return; // The last round failed.
        }
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        sleep_until(self.next_check).await;
    }

    async fn round(&mut self) {
        self.next_round = Instant::now() + ROUND_INTERVAL;
        if self.waiting.is_empty() {
            self.next_check = Instant::now() + self.parts.poll;
        }
        let changes = self.parts.hints.take();
        self.apply(changes);
        match self.load().await {
            Ok(()) => self.failing_since = None,
            Err(error) => self.failed(&error),
        }
    }

    /// Makes requests for changed tasks ready.
    fn apply(&mut self, changes: TaskChanges) {
        if changes.everywhere {
            // The safety net finds out which tasks have changed.
            self.next_check = Instant::now();
        }
        for task in changes.tasks {
            for (at, answers) in self.waiting.remove(&task).into_iter().flatten() {
                let task = task.clone();
                self.make_ready(ReadPosition { task, at }, answers);
            }
        }
    }

    fn make_ready(&mut self, position: ReadPosition, answers: OutputAnswers) {
        self.ready.entry(position).or_default().extend(answers);
    }

    async fn load(&mut self) -> sqlx::Result<()> {
        if !self.waiting.is_empty() && self.next_check <= Instant::now() {
            self.check().await?;
        }
        self.ready.retain(|_, answers| has_open(answers));
        while !self.ready.is_empty() {
            self.read().await?;
        }
        Ok(())
    }

    /// The safety net: makes requests ready whose tasks have changed, with or without a notice.
    async fn check(&mut self) -> sqlx::Result<()> {
        let began = Instant::now();
        let positions = self.waiting_positions();
        for positions in positions.chunks(MOST_CHECKED) {
            for n in self.changed(positions).await? {
                if let Some(position) = positions.get(n) {
                    let waiting = self.waiting.get_mut(&position.task);
                    let answers = waiting.and_then(|waiting| waiting.remove(&position.at));
                    self.make_ready(position.clone(), answers.unwrap_or_default());
                }
            }
        }
        let pause = began.elapsed() * CHECK_PAUSE_FACTOR;
        self.next_check = Instant::now() + self.parts.poll.max(pause);
        Ok(())
    }

    /// The positions that open streams wait for.
    fn waiting_positions(&mut self) -> Vec<ReadPosition> {
        let mut positions = Vec::new();
        self.waiting.retain(|task, waiting| {
            waiting.retain(|_, answers| has_open(answers));
            positions.extend(waiting.keys().map(|at| ReadPosition {
                task: task.clone(),
                at: *at,
            }));
            !waiting.is_empty()
        });
        positions
    }

    /// Reads at some of the positions that are ready.
    async fn read(&mut self) -> sqlx::Result<()> {
        let positions: Vec<_> = self.ready.keys().take(MOST_READ).cloned().collect();
        let outcomes = self.query(&positions).await?;
        for (position, outcome) in positions.into_iter().zip(outcomes) {
            let answers = self.ready.remove(&position).unwrap_or_default();
            let step = match outcome {
                ReadOutcome::Step(step) => Some(step),
                ReadOutcome::NoTask => None,
                ReadOutcome::Nothing => {
                    let waiting = self.waiting.entry(position.task).or_default();
                    waiting.entry(position.at).or_default().extend(answers);
                    continue;
                }
            };
            for answer in answers {
                // The stream may have ended.
                let _ = answer.send(step.clone());
            }
        }
        Ok(())
    }

    async fn query(&mut self, positions: &[ReadPosition]) -> sqlx::Result<Vec<ReadOutcome>> {
        self.parts.metrics.output_reads.inc();
        let database = &mut self.parts.database;
        let read = async |connection: &mut PgConnection| query::read(connection, positions).await;
        database.run(read).await
    }

    async fn changed(&mut self, positions: &[ReadPosition]) -> sqlx::Result<Vec<usize>> {
        self.parts.metrics.output_checks.inc();
        let database = &mut self.parts.database;
        let check =
            async |connection: &mut PgConnection| query::changed(connection, positions).await;
        database.run(check).await
    }

    /// Tries again later. After a while, streams end.
    fn failed(&mut self, error: &sqlx::Error) {
        tracing::warn!(%error, "output could not be read");
        let now = Instant::now();
        self.next_round = now + RETRY_DELAY;
        let since = *self.failing_since.get_or_insert(now);
        if since + GIVE_UP_AFTER <= now {
            // Readers learn of it because their answers do not come.
            self.ready.clear();
            self.waiting.clear();
        }
    }
}

/// Drops the answers of streams that have ended, and returns whether any are left.
fn has_open(answers: &mut OutputAnswers) -> bool {
    answers.retain(|answer| !answer.is_closed());
    !answers.is_empty()
}
