//! How far an import has come, as its user is told.

use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Checkpoint;
use super::output::Output;
use super::stop::{Stop, refused};
use super::text_output::{Found, MOST_ERRORS, RowFault, and_bad, grouped, lines};
use crate::platform::telemetry::progress;
use crate::records::Kind;
use crate::tasks::{LeaseClaim, Outcome, Percent, Report, TaskError, Tasks};

/// From one report to the next; each also asks whether to go on.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// The part of an event that what was found may fill.
const SHARE: (usize, usize) = (3, 4);

/// How far an import has come.
pub(super) struct Progress<'a> {
    to: (&'a Tasks, &'a LeaseClaim),
    module: &'a str,
    found: Found,
    output: Output,
    reported: Option<Instant>,
}

/// What a row is being done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Creating,
    /// Only read: the first half.
    Checking,
    /// Only created: the second half.
    Second,
}

impl<'a> Progress<'a> {
    pub(super) fn new(to: (&'a Tasks, &'a LeaseClaim), kind: &'a Kind, rows: i32) -> Self {
        let found = Found {
            rows,
            ..Found::default()
        };
        Self {
            to,
            module: kind.module.as_str(),
            found,
            output: Output::default(),
            reported: None,
        }
    }

    /// Goes on from what was done before.
    pub(super) fn recall(&mut self, begun: Checkpoint) {
        (self.found.created, self.found.bad) = (begun.created, begun.bad);
    }

    /// Rows that are done with.
    pub(super) fn done(&self) -> i32 {
        self.found.created + self.found.bad
    }

    /// Rows that could not be read.
    pub(super) fn bad(&self) -> i32 {
        self.found.bad
    }

    pub(super) fn count(&mut self, created: i32, bad: i32) {
        self.found.created += created;
        self.found.bad += bad;
    }

    /// What was to be created is not.
    pub(super) fn nothing(&mut self) {
        self.found.created = 0;
    }

    /// Names what was wrong: all of it in the output, the first ones in the result.
    pub(super) async fn name(&mut self, faults: &[RowFault]) -> Result<(), Stop> {
        let room = MOST_ERRORS.saturating_sub(self.found.errors.len());
        let first = faults.iter().take(room).cloned();
        self.found.errors.extend(first);
        self.output.write(self.to, &lines(faults)).await
    }

    /// Says how far it is, now and then, and hears whether to go on.
    pub(super) async fn tell(&mut self, stage: Stage, rows: i32) -> Result<(), Stop> {
        let now = Instant::now();
        let is_early = self.reported.is_some_and(|at| now < at + REPORT_EVERY);
        if is_early && rows < self.found.rows {
            return Ok(());
        }
        self.reported = Some(now);
        let message = self.message(stage, rows);
        progress::show(&message);
        let steps = (stage != Stage::Checking).then_some((rows, self.found.rows));
        let report = Report {
            percent: self.percent(stage, rows),
            step: steps,
            message: message.try_into().ok(),
            partial: None,
        };
        self.report(report).await
    }

    /// Leaves behind what has come of it so far.
    pub(super) async fn tell_partial(&mut self) -> Result<(), Stop> {
        let (tasks, _) = self.to;
        let partial = self.found.json(share(tasks.rules().event_bytes));
        let report = Report {
            partial,
            message: Some(self.message(Stage::Creating, 0)).and_then(|text| text.try_into().ok()),
            ..Report::default()
        };
        match self.report(report).await {
            Err(Stop::Cancelled) => Ok(()),
            told => told,
        }
    }

    /// The end, when there is one.
    pub(super) fn completed(mut self, ignored: &[String], bytes: usize) -> Outcome {
        self.found.ignored_columns = ignored.to_vec();
        let message = self.message(Stage::Creating, 0) + ".";
        Outcome::Completed {
            result: self.found.json(share(bytes)),
            message: message.try_into().ok(),
        }
    }

    /// The end of all or nothing, when it is nothing.
    pub(super) async fn failed(&mut self) -> Stop {
        self.found.created = 0;
        if let Err(stop) = self.tell_partial().await {
            return stop;
        }
        let (bad, rows) = (grouped(self.found.bad), grouped(self.found.rows));
        let sentence = format!(
            "{bad} of {rows} rows are bad, so nothing was created. The output names each of them."
        );
        refused("bad_rows", sentence)
    }

    async fn report(&self, report: Report) -> Result<(), Stop> {
        let (tasks, holding) = self.to;
        match tasks.report(holding, report).await {
            Ok(go_on) if go_on.cancel => Err(Stop::Cancelled),
            // The next one may pass; until then the lease holds, or somebody else goes on.
            Ok(_) | Err(TaskError::Busy | TaskError::Unconfirmed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn percent(&self, stage: Stage, rows: i32) -> Option<Percent> {
        let (rows, all) = (i64::from(rows), i64::from(self.found.rows.max(1)));
        let permille = match stage {
            Stage::Creating => rows * 1_000 / all,
            Stage::Checking => rows * 500 / all,
            Stage::Second => 500 + rows * 500 / all,
        };
        Percent::of_permille(i16::try_from(permille).ok()?).ok()
    }

    fn message(&self, stage: Stage, rows: i32) -> String {
        let (all, module) = (grouped(self.found.rows), self.module);
        let bad = and_bad(self.found.bad);
        match stage {
            Stage::Creating => {
                let created = grouped(self.found.created);
                format!("Created {created} of {all} {module}{bad}")
            }
            Stage::Checking => format!("Checked {} of {all} {module}{bad}", grouped(rows)),
            Stage::Second => format!("Creating {} of {all} {module}{bad}", grouped(rows)),
        }
    }
}

fn share(bytes: usize) -> usize {
    bytes * SHARE.0 / SHARE.1
}
