//! One round of the progress writer: merge the reports, store them, publish and answer.

use std::time::Duration;

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::PgConnection;
use tokio::sync::oneshot;

use super::schedule::Schedule;
use super::update::{TaskUpdate, UpdatedTask, store};
use super::{ProgressRequest, ProgressWriter, ReportAck, ReportAnswer, ReportRefusal};
use crate::log::{EventCommitter, NewEvent, TaskKey};
use crate::platform::{BrokerId, Pending, Transaction};
use crate::tasks::row::{self, TaskProgress, TaskRef, TaskRow};
use crate::tasks::{LeaseClaim, TaskError, TaskState, transitions, workflow};

/// Workflows of one round: each has a transaction of its own.
const MOST_WORKFLOWS: usize = 64;

/// The merged reports of one worker on one task, and the callers that wait for an answer.
#[derive(Default)]
struct MergedReports {
    progress: TaskProgress,
    answers: Vec<oneshot::Sender<ReportAnswer>>,
}

type ReportsByLease = FxHashMap<LeaseClaim, MergedReports>;

impl ProgressWriter {
    /// Handles a batch of requests and what the schedule says is due.
    pub(super) async fn round(
        &mut self,
        schedule: &mut Schedule,
        batch: Vec<Pending<ProgressRequest, ReportAnswer>>,
    ) {
        let mut reports = merge(schedule, batch);
        let updates = updates(schedule, &mut reports);
        for group in self.groups(updates) {
            self.store(schedule, &mut reports, group).await;
        }
        // The statement found no task with this lease.
        for merged in reports.into_values() {
            merged.answer(Err(ReportRefusal::NoLease));
        }
        for (n, key) in schedule.take_workflows().into_iter().enumerate() {
            if n < MOST_WORKFLOWS {
                self.update_workflow(schedule, key).await;
            } else {
                schedule.update_workflow(key);
            }
        }
    }

    /// One group, unless the last round failed: then one for each brokerage, so that a
    /// brokerage's failure does not affect the others.
    fn groups(&mut self, updates: Vec<TaskUpdate>) -> Vec<Vec<TaskUpdate>> {
        if updates.is_empty() {
            return Vec::new();
        }
        if !std::mem::take(&mut self.has_failed) {
            return vec![updates];
        }
        let mut groups: FxHashMap<BrokerId, Vec<TaskUpdate>> = FxHashMap::default();
        for update in updates {
            let broker = update.key.broker.clone();
            groups.entry(broker).or_default().push(update);
        }
        groups.into_values().collect()
    }

    async fn store(
        &mut self,
        schedule: &mut Schedule,
        reports: &mut ReportsByLease,
        updates: Vec<TaskUpdate>,
    ) {
        match self.commit(&updates).await {
            Ok(stored) => {
                for task in stored {
                    confirm(schedule, reports, task);
                }
            }
            Err(error) => {
                tracing::warn!(%error, reports = updates.len(), "reports could not be stored");
                self.has_failed = true;
                for lease in updates.into_iter().filter_map(|update| update.lease) {
                    let merged = reports.remove(&lease).unwrap_or_default();
                    merged.answer(Err(ReportRefusal::Unconfirmed));
                }
            }
        }
    }

    async fn commit(&mut self, updates: &[TaskUpdate]) -> sqlx::Result<Vec<UpdatedTask>> {
        let committer = &self.committer;
        let commit = async |connection: &mut PgConnection| {
            let mut transaction = Transaction::begin(connection).await?;
            let mut stored = store(&mut transaction, updates).await?;
            let pending = committer.append_all(&mut transaction, take_events(&mut stored));
            let pending = pending.await?;
            committer.commit(transaction, pending).await?;
            Ok(stored)
        };
        self.database.run(commit).await
    }

    async fn update_workflow(&mut self, schedule: &mut Schedule, key: TaskKey) {
        let committer = &self.committer;
        let updated = self.database.run(async |connection| {
            match update_workflow(connection, committer, &key).await {
                Err(TaskError::Database(error)) => Err(error),
                outcome => Ok(outcome),
            }
        });
        match updated.await.map_err(TaskError::from).flatten() {
            Ok(has_unpublished) if has_unpublished => schedule.update_workflow(key),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a workflow could not be updated from its steps");
                schedule.update_workflow(key);
            }
        }
    }
}

/// Whether the workflow has progress that must be published later.
async fn update_workflow(
    connection: &mut PgConnection,
    committer: &EventCommitter,
    key: &TaskKey,
) -> Result<bool, TaskError> {
    let broker = &key.broker;
    let mut transaction = Transaction::begin(connection).await?;
    let at = TaskRef {
        broker,
        id: &key.task,
    };
    let parent = row::lock(&mut transaction, at).await?;
    let is_open = |parent: &TaskRow| parent.is_workflow && !parent.state.is_over();
    let Some(mut parent) = parent.filter(is_open) else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let mut events = workflow::update(&mut transaction, broker, &mut parent).await?;
    if events.is_empty() && parent.has_unpublished {
        events = transitions::progressed(&mut parent);
        row::write(&mut transaction, broker, &parent).await?;
    }
    committer.conclude(transaction, broker, events).await?;
    Ok(parent.has_unpublished && !parent.state.is_over())
}

/// Merges reports by lease. Other requests go into the schedule.
fn merge(
    schedule: &mut Schedule,
    batch: Vec<Pending<ProgressRequest, ReportAnswer>>,
) -> ReportsByLease {
    let mut reports = ReportsByLease::default();
    for pending in batch {
        let (request, answer) = pending.into_parts();
        match request {
            ProgressRequest::Report(lease, report) => {
                let merged = reports.entry(lease).or_default();
                merged.progress.merge((*report).into());
                merged.answers.push(answer);
            }
            ProgressRequest::Publish(key) => schedule.publish_in(key, Duration::ZERO),
            ProgressRequest::Workflow(key) => schedule.update_workflow(key),
        }
    }
    reports
}

/// The reports of a round, and the tasks that have something to publish without a new report.
fn updates(schedule: &mut Schedule, reports: &mut ReportsByLease) -> Vec<TaskUpdate> {
    let due = schedule.take_tasks();
    let mut updates: Vec<_> = reports
        .iter_mut()
        .map(|(lease, merged)| TaskUpdate {
            key: lease.key(),
            lease: Some(lease.clone()),
            progress: std::mem::take(&mut merged.progress),
        })
        .collect();
    let reported: FxHashSet<_> = updates.iter().map(|update| update.key.clone()).collect();
    let unreported = due.into_iter().filter(|key| !reported.contains(key));
    updates.extend(unreported.map(|key| TaskUpdate {
        key,
        lease: None,
        progress: TaskProgress::default(),
    }));
    updates
}

/// Takes the events of all tasks, by brokerage. The tasks are sorted by brokerage.
fn take_events(stored: &mut [UpdatedTask]) -> BTreeMap<BrokerId, Vec<NewEvent>> {
    let mut by_broker: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for task in stored {
        let of_broker = by_broker.entry(task.key.broker.clone()).or_default();
        of_broker.append(&mut task.events);
    }
    by_broker
}

/// Answers the reports on a task that was committed, and schedules what is published later.
fn confirm(schedule: &mut Schedule, reports: &mut ReportsByLease, task: UpdatedTask) {
    let ack = ReportAck {
        cancel: task.state == TaskState::Cancelling,
        lease_until: task.lease_until,
        version: task.version,
    };
    match task.publish_in {
        Some(wait) => schedule.publish_in(task.key.clone(), wait),
        None => schedule.forget(&task.key),
    }
    if let Some(parent) = task.parent {
        let broker = task.key.broker;
        schedule.update_workflow(TaskKey {
            broker,
            task: parent,
        });
    }
    if let Some(merged) = task.lease.and_then(|lease| reports.remove(&lease)) {
        merged.answer(Ok(ack));
    }
}

impl MergedReports {
    fn answer(self, answer: ReportAnswer) {
        for waiting in self.answers {
            // The worker may have gone away.
            let _ = waiting.send(answer);
        }
    }
}

impl TaskProgress {
    /// Adds a newer report. What it leaves out stays.
    fn merge(&mut self, newer: Self) {
        self.percent = newer.percent.or(self.percent);
        self.steps = newer.steps.or(self.steps);
        self.message = newer.message.or(self.message.take());
        self.partial = newer.partial.or(self.partial.take());
    }
}
