//! The transitions of a task. Each changes a locked row and returns the events of the change.
//!
//! There is no SQL here. A trigger in the database has the same table of allowed transitions.

use std::time::Duration;

use super::row::{Lease, TaskProgress, TaskRow};
use super::worker::Completion;
use super::{Percent, TaskError, TaskFault, TaskState, events};
use crate::log::NewEvent;
use crate::platform::UserId;

/// Between two progress events of one task. The last one before its end comes at any time. Even
/// with it, no second has more than four.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(350);

pub(super) fn create(row: &mut TaskRow) -> Vec<NewEvent> {
    let mut events = state_changed(row, Some(&row.user.clone()));
    events.extend((!row.is_workflow).then(|| events::available(row)));
    events
}

/// A worker begins an attempt.
pub(super) fn claim(row: &mut TaskRow, lease: Lease) -> Result<Vec<NewEvent>, TaskError> {
    change_state(row, TaskState::Running)?;
    row.attempt += 1;
    row.progress = TaskProgress::default();
    // The first report is published at once.
    row.published_at = None;
    row.output_bytes = 0;
    row.run_after = None;
    row.started_at.get_or_insert(row.now);
    let worker = lease.worker.clone();
    row.lease = Some(lease);
    Ok(state_changed(row, Some(&worker)))
}

/// The first step of a workflow begins.
pub(super) fn begin_workflow(row: &mut TaskRow) -> Result<Vec<NewEvent>, TaskError> {
    change_state(row, TaskState::Running)?;
    row.started_at.get_or_insert(row.now);
    Ok(state_changed(row, None))
}

/// The task waits for another attempt.
pub(super) fn requeue(
    row: &mut TaskRow,
    why: TaskFault,
    delay: Duration,
) -> Result<Vec<NewEvent>, TaskError> {
    let mut events = end_attempt(row, TaskState::Queued)?;
    row.progress = TaskProgress::default();
    row.error = Some(why);
    row.run_after = (!delay.is_zero()).then(|| row.now + delay);
    events.extend(state_changed(row, None));
    events.extend(row.run_after.is_none().then(|| events::available(row)));
    Ok(events)
}

/// The delay before the next attempt is over.
pub(super) fn end_delay(row: &mut TaskRow) -> Vec<NewEvent> {
    row.run_after = None;
    vec![events::available(row)]
}

pub(super) fn complete(
    row: &mut TaskRow,
    with: Completion,
    by: Option<&UserId>,
) -> Result<Vec<NewEvent>, TaskError> {
    let mut events = end_attempt(row, TaskState::Completed)?;
    // The result replaces the partial result.
    row.progress.partial = None;
    row.progress.percent = Some(Percent::WHOLE);
    row.progress.message = with.message.or(row.progress.message.take());
    row.result = with.result;
    row.error = None;
    events.extend(state_changed(row, by));
    Ok(events)
}

pub(super) fn fail(
    row: &mut TaskRow,
    why: TaskFault,
    by: Option<&UserId>,
) -> Result<Vec<NewEvent>, TaskError> {
    let mut events = end_attempt(row, TaskState::Failed)?;
    row.error = Some(why);
    events.extend(state_changed(row, by));
    Ok(events)
}

/// Asks the worker to stop. It has some time to confirm.
pub(super) fn request_cancel(row: &mut TaskRow, by: &UserId) -> Result<Vec<NewEvent>, TaskError> {
    let lease = row.lease.clone();
    change_state(row, TaskState::Cancelling)?;
    row.cancel_requested_at = Some(row.now);
    row.cancel_requested_by = Some(by.clone());
    let mut events = state_changed(row, Some(by));
    let to_worker = lease.map(|lease| events::stop_working(row, &lease, "cancelling"));
    events.extend(to_worker);
    Ok(events)
}

/// Cancels the task. The event names the user who requested it, not the worker that confirmed it.
pub(super) fn cancel(row: &mut TaskRow, by: Option<&UserId>) -> Result<Vec<NewEvent>, TaskError> {
    let mut events = end_attempt(row, TaskState::Cancelled)?;
    row.cancel_requested_at.get_or_insert(row.now);
    let by = row.cancel_requested_by.clone().or(by.cloned());
    events.extend(state_changed(row, by.as_ref()));
    Ok(events)
}

/// The progress has changed. It is published now if the interval has passed, otherwise later.
pub(super) fn progressed(row: &mut TaskRow) -> Vec<NewEvent> {
    row.has_unpublished = true;
    let published = row.published_at;
    if published.is_some_and(|published| row.now < published + PROGRESS_INTERVAL) {
        return Vec::new();
    }
    row.published_at = Some(row.now);
    publish_progress(row)
}

fn publish_progress(row: &mut TaskRow) -> Vec<NewEvent> {
    if !std::mem::take(&mut row.has_unpublished) {
        return Vec::new();
    }
    row.version += 1;
    events::progress(row).collect()
}

/// Ends an attempt. Its last report is published, however early. A refused transition changes
/// nothing.
fn end_attempt(row: &mut TaskRow, next: TaskState) -> Result<Vec<NewEvent>, TaskError> {
    let mut events = Vec::new();
    if row.state.may_become(next, row.is_workflow) {
        events = publish_progress(row);
    }
    change_state(row, next)?;
    Ok(events)
}

fn change_state(row: &mut TaskRow, next: TaskState) -> Result<(), TaskError> {
    if !row.state.may_become(next, row.is_workflow) {
        return Err(TaskError::WrongState(row.state));
    }
    row.state = next;
    if next != TaskState::Running && next != TaskState::Cancelling {
        row.lease = None;
    }
    if next != TaskState::Queued {
        row.run_after = None;
    }
    row.ended_at = next.is_over().then_some(row.now);
    Ok(())
}

fn state_changed(row: &mut TaskRow, by: Option<&UserId>) -> Vec<NewEvent> {
    row.version += 1;
    events::state_changed(row, row.state.verb(), by).collect()
}

impl TaskState {
    /// The action in the type of the event.
    fn verb(self) -> &'static str {
        match self {
            Self::Running => "started",
            other => other.as_str(),
        }
    }
}

#[cfg(test)]
mod tests;
