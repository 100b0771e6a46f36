//! One task per instance that reads output for all streams.
//!
//! A reader asks for what comes at its position and is answered when there is something. Until
//! then it waits here, which costs no query: a notice names its task, or the safety net finds that
//! the task has changed. The safety net is one statement for all that wait. Readers at the same
//! position share a read.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::reader::{Answer, OutputPosition, Position};
use super::rows::{self, Found};
use crate::log::{TaskChanges, TaskHints, TaskKey};
use crate::platform::DedicatedConnection;
use crate::platform::Metrics;

/// Questions that may wait to be taken up; after that, readers wait to ask.
const QUEUE: usize = 1_024;
/// Positions that one statement reads.
const MOST_READ: usize = 64;
/// Positions that one statement of the safety net looks at.
const MOST_CHECKED: usize = 10_000;
/// From the beginning of one round of reads to that of the next: what comes meanwhile is read
/// together.
const INTERVAL: Duration = Duration::from_millis(5);
/// The safety net rests at least so many times as long as it took.
const RESTS: u32 = 20;
/// After a failure, the database is asked again this much later.
const PAUSE: Duration = Duration::from_secs(1);
/// When the database could not be read for so long, streams end and come back elsewhere.
const PATIENCE: Duration = Duration::from_secs(10);

type Answers = Vec<oneshot::Sender<Answer>>;

#[derive(Debug)]
struct TaskListQuery {
    position: Position,
    answer: oneshot::Sender<Answer>,
}

#[derive(Clone, Debug)]
pub struct OutputReads(mpsc::Sender<TaskListQuery>);

#[derive(Debug)]
pub struct LoaderParts {
    pub database: DedicatedConnection,
    pub hints: TaskHints,
    /// How often the safety net looks.
    pub poll: Duration,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

struct Loader {
    parts: LoaderParts,
    ready: FxHashMap<Position, Answers>,
    /// There was nothing: to be read once the task has changed.
    waiting: FxHashMap<TaskKey, FxHashMap<OutputPosition, Answers>>,
    next_round: Instant,
    next_check: Instant,
    failing_since: Option<Instant>,
}

impl OutputReads {
    /// The way to a loader, and its task.
    pub fn new(parts: LoaderParts) -> (Self, impl Future<Output = ()>) {
        let (questions, asked) = mpsc::channel(QUEUE);
        let now = Instant::now();
        let loader = Loader {
            parts,
            ready: FxHashMap::default(),
            waiting: FxHashMap::default(),
            next_round: now,
            next_check: now,
            failing_since: None,
        };
        (Self(questions), loader.run(asked))
    }

    /// Asks for what comes at a position; the answer comes when there is something.
    pub(super) async fn ask(&self, position: &Position) -> Option<oneshot::Receiver<Answer>> {
        let (answer, answered) = oneshot::channel();
        let position = position.clone();
        self.0.send(TaskListQuery { position, answer }).await.ok()?;
        Some(answered)
    }
}

impl Loader {
    async fn run(mut self, mut asked: mpsc::Receiver<TaskListQuery>) {
        let (stop, hints) = (self.parts.stop.clone(), self.parts.hints.clone());
        let mut questions = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                n = asked.recv_many(&mut questions, QUEUE) => if n == 0 { return },
                () = hints.arrived() => {}
                () = self.due() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // A question that comes alone finds this moment long past.
                () = sleep_until(self.next_round) => {}
            }
            questions.extend(std::iter::from_fn(|| asked.try_recv().ok()).take(QUEUE));
            for TaskListQuery { position, answer } in questions.drain(..) {
                self.ready.entry(position).or_default().push(answer);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// When there is something to do without a question or a hint.
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
        self.next_round = Instant::now() + INTERVAL;
        if self.waiting.is_empty() {
            self.next_check = Instant::now() + self.parts.poll;
        }
        let changes = self.parts.hints.take();
        self.wake(changes);
        match self.load().await {
            Ok(()) => self.failing_since = None,
            Err(error) => self.failed(&error),
        }
    }

    fn wake(&mut self, changes: TaskChanges) {
        if changes.everywhere {
            // The safety net finds out which tasks have changed.
            self.next_check = Instant::now();
        }
        for key in changes.tasks {
            for (place, answers) in self.waiting.remove(&key).into_iter().flatten() {
                let key = key.clone();
                self.make_ready(Position { key, place }, answers);
            }
        }
    }

    fn make_ready(&mut self, position: Position, answers: Answers) {
        self.ready.entry(position).or_default().extend(answers);
    }

    async fn load(&mut self) -> sqlx::Result<()> {
        if !self.waiting.is_empty() && self.next_check <= Instant::now() {
            self.check().await?;
        }
        self.ready.retain(|_, answers| are_wanted(answers));
        while !self.ready.is_empty() {
            self.read().await?;
        }
        Ok(())
    }

    /// The safety net: makes those ready whose task has changed, whatever notices there were.
    async fn check(&mut self) -> sqlx::Result<()> {
        let began = Instant::now();
        self.waiting.retain(|_, places| {
            places.retain(|_, answers| are_wanted(answers));
            !places.is_empty()
        });
        let places = |(key, places): (&TaskKey, &FxHashMap<OutputPosition, Answers>)| {
            let (key, places) = (key.clone(), places.keys().copied().collect::<Vec<_>>());
            let position = move |place| Position {
                key: key.clone(),
                place,
            };
            places.into_iter().map(position)
        };
        let positions: Vec<_> = self.waiting.iter().flat_map(places).collect();
        for positions in positions.chunks(MOST_CHECKED) {
            for n in self.changed(positions).await? {
                if let Some(position) = positions.get(n) {
                    let places = self.waiting.get_mut(&position.key);
                    let answers = places.and_then(|places| places.remove(&position.place));
                    self.make_ready(position.clone(), answers.unwrap_or_default());
                }
            }
        }
        self.next_check = Instant::now() + self.parts.poll.max(began.elapsed() * RESTS);
        Ok(())
    }

    /// Reads at some of the positions that are ready.
    async fn read(&mut self) -> sqlx::Result<()> {
        let positions: Vec<_> = self.ready.keys().take(MOST_READ).cloned().collect();
        let found = self.found(&positions).await?;
        for (position, found) in positions.into_iter().zip(found) {
            let answers = self.ready.remove(&position).unwrap_or_default();
            let step = match found {
                Found::Step(step) => Some(step),
                Found::NoTask => None,
                Found::Nothing => {
                    let places = self.waiting.entry(position.key).or_default();
                    places.entry(position.place).or_default().extend(answers);
                    continue;
                }
            };
            for answer in answers {
                // A stream that has ended wants no answer.
                let _ = answer.send(step.clone());
            }
        }
        Ok(())
    }

    async fn found(&mut self, positions: &[Position]) -> sqlx::Result<Vec<Found>> {
        self.parts.metrics.output_reads.inc();
        let database = &mut self.parts.database;
        let reading = async |connection: &mut PgConnection| rows::read(connection, positions).await;
        database.run(reading).await
    }

    async fn changed(&mut self, positions: &[Position]) -> sqlx::Result<Vec<usize>> {
        self.parts.metrics.output_checks.inc();
        let database = &mut self.parts.database;
        let checking =
            async |connection: &mut PgConnection| rows::changed(connection, positions).await;
        database.run(checking).await
    }

    /// The database is asked again in a moment. After a while, streams are not kept waiting.
    fn failed(&mut self, error: &sqlx::Error) {
        tracing::warn!(%error, "output could not be read");
        let now = Instant::now();
        self.next_round = now + PAUSE;
        let since = *self.failing_since.get_or_insert(now);
        if since + PATIENCE <= now {
            // Whoever asked learns of it by this.
            self.ready.clear();
            self.waiting.clear();
        }
    }
}

/// Leaves out streams that have ended; whether any are left.
fn are_wanted(answers: &mut Answers) -> bool {
    answers.retain(|answer| !answer.is_closed());
    !answers.is_empty()
}
