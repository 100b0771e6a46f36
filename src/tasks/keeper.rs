//! The keeper: reports of progress, many in one transaction, and few of them told.
//!
//! A report is answered once it is committed, with its task's lease renewed. Of a task's
//! reports the newest is told, at most four times a second; the first one at once, and the last
//! one with the end of its attempt. What an instance owes when it dies, a sweeper finds.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::row::Progress;
use super::{LeaseClaim, Message, Percent, TaskError, Tasks};
use crate::log::EventCommitter;
use crate::platform::DedicatedConnection;
use crate::platform::{BrokerId, TaskId};

mod agenda;
mod batch;
mod round;

use agenda::Agenda;

/// Reports that may wait for the keeper; one more is refused.
const QUEUE_REPORTS: usize = 8_192;
/// Reports that one transaction takes.
const MOST_REPORTS: usize = 1_000;
/// From the beginning of one transaction to that of the next, while reports keep coming.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a report waits for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// What a worker reports. What is left out stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How far it has come.
    pub percent: Option<Percent>,
    /// Which step of how many.
    pub step: Option<(i32, i32)>,
    pub message: Option<Message>,
    /// What has been found so far, on one line.
    pub partial: Option<Box<serde_json::value::RawValue>>,
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoOn {
    /// The task is to end: stop, and say so.
    pub cancel: bool,
    /// Until when the task is the worker's without another sign.
    pub lease_until: time::OffsetDateTime,
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    NotHeld,
    Unconfirmed,
}

#[derive(Debug)]
enum Job {
    Report(
        LeaseClaim,
        Box<Report>,
        oneshot::Sender<Result<GoOn, Refused>>,
    ),
    /// There is something of this task that has not been told.
    Untold(BrokerId, TaskId),
    /// Something has changed in this workflow.
    Family(BrokerId, TaskId),
}

/// Where reports are handed in.
#[derive(Clone, Debug)]
pub struct Reports(mpsc::Sender<Job>);

impl Reports {
    /// This workflow is to be looked at soon. What does not fit, a sweeper finds.
    pub(super) fn look_at_family(&self, broker: &BrokerId, id: &TaskId) {
        let _ = self.0.try_send(Job::Family(broker.clone(), id.clone()));
    }

    /// This task has something to tell. What does not fit, a sweeper finds again.
    pub(super) fn look_at(&self, broker: &BrokerId, id: &TaskId) {
        let _ = self.0.try_send(Job::Untold(broker.clone(), id.clone()));
    }
}

impl Tasks {
    /// Takes a report: the lease is renewed, and the answer says whether to go on.
    pub async fn report(&self, holding: &LeaseClaim, report: Report) -> Result<GoOn, TaskError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Report(holding.clone(), Box::new(report), answer);
        let queue = &self.reports.0;
        queue.try_send(job).map_err(|_| TaskError::Busy)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(Ok(go_on))) => Ok(go_on),
            Ok(Ok(Err(Refused::NotHeld))) => Err(self.why_lost(holding).await),
            _ => Err(TaskError::Unconfirmed),
        }
    }
}

#[derive(Debug)]
pub struct ReportKeeperParts {
    pub database: DedicatedConnection,
    pub committer: EventCommitter,
    /// When to stop, after what is queued.
    pub stop: CancellationToken,
}

struct ReportKeeper {
    database: DedicatedConnection,
    committer: EventCommitter,
    stop: CancellationToken,
    /// The last round could not be kept.
    is_cautious: bool,
}

impl Reports {
    /// The way to a keeper, and its task.
    pub fn new(parts: ReportKeeperParts) -> (Self, impl Future<Output = ()>) {
        let (reports, jobs) = mpsc::channel(QUEUE_REPORTS);
        let keeper = ReportKeeper {
            database: parts.database,
            committer: parts.committer,
            stop: parts.stop,
            is_cautious: false,
        };
        (Self(reports), keeper.run(jobs))
    }
}

impl ReportKeeper {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let (mut waiting, mut agenda) = (Vec::new(), Agenda::default());
        let mut next_round = Instant::now();
        loop {
            let due = agenda.next();
            tokio::select! {
                biased;
                n = jobs.recv_many(&mut waiting, MOST_REPORTS) => if n == 0 { return },
                () = at(due) => {}
                () = self.stop.cancelled() => jobs.close(),
            }
            // A report that comes alone finds this moment long past.
            tokio::time::sleep_until(next_round).await;
            let room = MOST_REPORTS.saturating_sub(waiting.len());
            waiting.extend(std::iter::from_fn(|| jobs.try_recv().ok()).take(room));
            next_round = Instant::now() + INTERVAL;
            self.round(&mut agenda, std::mem::take(&mut waiting)).await;
        }
    }
}

/// A moment, or never.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl From<Report> for Progress {
    fn from(report: Report) -> Self {
        Self {
            percent: report.percent,
            step: report.step,
            message: report.message,
            partial: report.partial,
        }
    }
}
