//! Progress reports: many are written in one transaction, and few of them are published.
//!
//! A report is answered after it is committed and its task's lease is renewed. The newest report
//! of a task is published at most four times a second: the first one at once, the last one with
//! the end of its attempt. If an instance dies with unpublished reports, a sweeper finds them.

use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::row::TaskProgress;
use super::{LeaseClaim, Message, Percent, Steps, TaskError, Tasks};
use crate::log::{EventCommitter, TaskKey};
use crate::platform::BackgroundTask;
use crate::platform::{BatchError, BatchLimits, Batcher, Batches, DedicatedConnection};
use crate::platform::{BrokerId, Queues, TaskId};

mod round;
mod schedule;
mod update;

use schedule::Schedule;

/// From the beginning of one round to that of the next.
const ROUND_INTERVAL: Duration = Duration::from_millis(50);

const LIMITS: BatchLimits = BatchLimits {
    name: "progress",
    queue: 8_192,
    batch: 1_000,
    // The writer limits its rounds itself, because its schedule starts rounds as well.
    interval: Duration::ZERO,
    spaces_single_requests: true,
    answer_timeout: Duration::from_secs(8),
};

/// What a worker reports. What is left out stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub percent: Option<Percent>,
    pub steps: Option<Steps>,
    pub message: Option<Message>,
    /// The partial result, on one line.
    pub partial: Option<Box<RawValue>>,
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportAck {
    /// The worker must stop and confirm that it has.
    pub cancel: bool,
    /// When the lease ends unless the worker renews it.
    pub lease_until: time::OffsetDateTime,
    /// The version of the task after the report. A report that is published later raises it then.
    pub version: i64,
}

/// Why a report was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportRefusal {
    /// The worker does not hold the lease.
    NoLease,
    /// The database did not confirm the report.
    Unconfirmed,
}

type ReportAnswer = Result<ReportAck, ReportRefusal>;

#[derive(Debug)]
enum ProgressRequest {
    Report(LeaseClaim, Box<Report>),
    /// Publish what is unpublished of this task.
    Publish(TaskKey),
    /// Bring this workflow up to date with its steps.
    Workflow(TaskKey),
}

/// Sends reports to the progress writer.
#[derive(Clone, Debug)]
pub struct Reports(Batcher<ProgressRequest, ReportAnswer>);

impl Reports {
    /// The sending side, and the writer's background task.
    #[must_use]
    pub fn start(parts: ProgressWriterParts) -> (Self, BackgroundTask) {
        let (reports, batches) = Batcher::new(LIMITS, &parts.queues, parts.stop);
        let writer = ProgressWriter {
            database: parts.database,
            committer: parts.committer,
            has_failed: false,
        };
        let task = BackgroundTask::new("the writer of progress", writer.run(batches));
        (Self(reports), task)
    }

    /// Has a workflow updated soon. When the queue is full, the sweeper does it.
    pub(super) fn update_workflow(&self, broker: &BrokerId, id: &TaskId) {
        let _ = self.0.send(ProgressRequest::Workflow(key(broker, id)));
    }

    /// Has unpublished progress published soon. When the queue is full, the sweeper asks again.
    pub(super) fn publish(&self, broker: &BrokerId, id: &TaskId) {
        let _ = self.0.send(ProgressRequest::Publish(key(broker, id)));
    }
}

fn key(broker: &BrokerId, task: &TaskId) -> TaskKey {
    TaskKey {
        broker: broker.clone(),
        task: task.clone(),
    }
}

impl Tasks {
    /// Stores a report and renews the lease.
    pub async fn report(&self, lease: &LeaseClaim, report: Report) -> Result<ReportAck, TaskError> {
        let request = ProgressRequest::Report(lease.clone(), Box::new(report));
        match self.reports.0.ask(request).await {
            Ok(Ok(ack)) => Ok(ack),
            Ok(Err(ReportRefusal::NoLease)) => Err(self.lease_error(lease).await),
            Ok(Err(ReportRefusal::Unconfirmed)) | Err(BatchError::Unanswered) => {
                Err(TaskError::Unconfirmed)
            }
            Err(BatchError::Busy) => Err(TaskError::Busy),
        }
    }
}

#[derive(Debug)]
pub struct ProgressWriterParts {
    pub database: DedicatedConnection,
    pub committer: EventCommitter,
    pub queues: Queues,
    /// Stops the writer after it has written what is in its queue.
    pub stop: CancellationToken,
}

struct ProgressWriter {
    database: DedicatedConnection,
    committer: EventCommitter,
    /// The last round failed, so the next one writes each brokerage separately.
    has_failed: bool,
}

impl ProgressWriter {
    async fn run(mut self, mut batches: Batches<ProgressRequest, ReportAnswer>) {
        let mut schedule = Schedule::default();
        let mut next_round = Instant::now();
        loop {
            // A report that comes alone finds this moment long past.
            sleep_until(next_round).await;
            let batch = tokio::select! {
                biased;
                batch = batches.next() => match batch {
                    Some(batch) => batch,
                    None => return,
                },
                () = at(schedule.next()) => Vec::new(),
            };
            next_round = Instant::now() + ROUND_INTERVAL;
            self.round(&mut schedule, batch).await;
        }
    }
}

/// Waits until this moment; without one, forever.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl From<Report> for TaskProgress {
    fn from(report: Report) -> Self {
        Self {
            percent: report.percent,
            steps: report.steps,
            message: report.message,
            partial: report.partial,
        }
    }
}
