//! Reports the progress of an import.

use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Checkpoint;
use super::fault_output::FaultOutput;
use super::stop::{Stop, refused};
use super::summary::{ImportSummary, MOST_ERRORS, RowFault, and_bad, grouped, lines};
use crate::platform::telemetry::progress;
use crate::records::RecordKind;
use crate::tasks::{Completion, LeaseClaim, Percent, Report, Steps};
use crate::tasks::{TaskError, TaskOutcome, Tasks};

/// From one report to the next. The answer says whether to go on.
const REPORT_EVERY: Duration = Duration::from_millis(100);
pub(super) struct ImportProgress<'a> {
    tasks: &'a Tasks,
    lease: &'a LeaseClaim,
    module: &'a str,
    summary: ImportSummary,
    output: FaultOutput,
    reported_at: Option<Instant>,
}

/// What an import does with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Creating,
    /// Reads all rows: the first half of an import of all or nothing.
    Checking,
    /// Creates all records: the second half.
    Second,
}

impl<'a> ImportProgress<'a> {
    pub(super) fn new(
        tasks: &'a Tasks,
        lease: &'a LeaseClaim,
        kind: &'a RecordKind,
        rows: i32,
    ) -> Self {
        let summary = ImportSummary {
            rows,
            ..ImportSummary::default()
        };
        Self {
            tasks,
            lease,
            module: kind.module.as_str(),
            summary,
            output: FaultOutput::default(),
            reported_at: None,
        }
    }

    /// Continues from a checkpoint.
    pub(super) fn recall(&mut self, begun: Checkpoint) {
        (self.summary.created, self.summary.bad) = (begun.created, begun.bad);
    }

    pub(super) fn done(&self) -> i32 {
        self.summary.created + self.summary.bad
    }

    pub(super) fn bad(&self) -> i32 {
        self.summary.bad
    }

    pub(super) fn count(&mut self, created: i32, bad: i32) {
        self.summary.created += created;
        self.summary.bad += bad;
    }

    /// The transaction was rolled back.
    pub(super) fn reset_created(&mut self) {
        self.summary.created = 0;
    }

    /// Adds faults: all of them to the output, the first ones to the result.
    pub(super) async fn name(&mut self, faults: &[RowFault]) -> Result<(), Stop> {
        let room = MOST_ERRORS.saturating_sub(self.summary.errors.len());
        let first = faults.iter().take(room).cloned();
        self.summary.errors.extend(first);
        let lines = lines(faults);
        self.output.write(self.tasks, self.lease, &lines).await
    }

    /// Reports the progress at intervals. Fails when the import must stop.
    pub(super) async fn report_rows(&mut self, stage: Stage, rows: i32) -> Result<(), Stop> {
        let now = Instant::now();
        let is_early = self.reported_at.is_some_and(|at| now < at + REPORT_EVERY);
        if is_early && rows < self.summary.rows {
            return Ok(());
        }
        self.reported_at = Some(now);
        let message = self.message(stage, rows);
        progress::show(&message);
        let steps = Steps {
            step: rows,
            total: self.summary.rows,
        };
        let report = Report {
            percent: self.percent(stage, rows),
            steps: (stage != Stage::Checking).then_some(steps),
            message: message.try_into().ok(),
            partial: None,
        };
        self.report(report).await
    }

    /// Reports the summary as the partial result.
    pub(super) async fn report_partial(&mut self) -> Result<(), Stop> {
        let most = self.tasks.rules().event_bytes;
        let report = Report {
            partial: self.summary.json(result_bytes(most)),
            message: self.message(Stage::Creating, 0).try_into().ok(),
            ..Report::default()
        };
        match self.report(report).await {
            Err(Stop::Cancelled) => Ok(()),
            reported => reported,
        }
    }

    pub(super) fn completed(mut self, ignored: &[String], event_bytes: usize) -> TaskOutcome {
        self.summary.ignored_columns = ignored.to_vec();
        let message = self.message(Stage::Creating, 0) + ".";
        TaskOutcome::Completed(Completion {
            result: self.summary.json(result_bytes(event_bytes)),
            message: message.try_into().ok(),
        })
    }

    /// The end of an import of all or nothing with bad rows.
    pub(super) async fn failed(&mut self) -> Stop {
        self.summary.created = 0;
        if let Err(stop) = self.report_partial().await {
            return stop;
        }
        let (bad, rows) = (grouped(self.summary.bad), grouped(self.summary.rows));
        let sentence = format!(
            "{bad} of {rows} rows are bad, so nothing was created. The output names each of them."
        );
        refused("bad_rows", sentence)
    }

    async fn report(&self, report: Report) -> Result<(), Stop> {
        match self.tasks.report(self.lease, report).await {
            Ok(ack) if ack.cancel => Err(Stop::Cancelled),
            // The next report may succeed. If the lease ends before, another attempt goes on.
            Ok(_) | Err(TaskError::Busy | TaskError::Unconfirmed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn percent(&self, stage: Stage, rows: i32) -> Option<Percent> {
        let (rows, all) = (i64::from(rows), i64::from(self.summary.rows.max(1)));
        let permille = match stage {
            Stage::Creating => rows * 1_000 / all,
            Stage::Checking => rows * 500 / all,
            Stage::Second => 500 + rows * 500 / all,
        };
        Percent::of_permille(i16::try_from(permille).ok()?).ok()
    }

    fn message(&self, stage: Stage, rows: i32) -> String {
        let (all, module) = (grouped(self.summary.rows), self.module);
        let bad = and_bad(self.summary.bad);
        match stage {
            Stage::Creating => {
                let created = grouped(self.summary.created);
                format!("Created {created} of {all} {module}{bad}")
            }
            Stage::Checking => format!("Checked {} of {all} {module}{bad}", grouped(rows)),
            Stage::Second => format!("Creating {} of {all} {module}{bad}", grouped(rows)),
        }
    }
}

/// The part of an event that the result may fill.
fn result_bytes(event_bytes: usize) -> usize {
    event_bytes * 3 / 4
}
