//! The moves of a task: each takes a row that is ours from one state to the next, and says
//! what is told of it. No database in here, which holds to the same rules by itself.

use std::time::Duration;

use serde_json::value::RawValue;

use super::row::{Lease, Progress, TaskRow};
use super::{Fault, Message, Percent, State, TaskError, events};
use crate::log::NewEvent;
use crate::platform::UserId;

/// Between two events of progress of one task. The last one before its end comes at any time, and
/// with it no second has more than four.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(350);

/// It is there: its user is told, and waiting workers are.
pub(super) fn create(row: &mut TaskRow) -> Vec<NewEvent> {
    let mut told = enter(row, Some(&row.user.clone()));
    told.extend((!row.is_workflow).then(|| events::available(row)));
    told
}

/// A worker begins an attempt.
pub(super) fn claim(row: &mut TaskRow, held: Lease) -> Result<Vec<NewEvent>, TaskError> {
    go(row, State::Running)?;
    row.attempt += 1;
    row.progress = Progress::default();
    // Its first report is told at once.
    row.told_at = None;
    row.output_bytes = 0;
    row.run_after = None;
    row.started_at.get_or_insert(row.now);
    let worker = held.worker.clone();
    row.held = Some(held);
    Ok(enter(row, Some(&worker)))
}

/// The first of a workflow's children was begun.
pub(super) fn begin(row: &mut TaskRow) -> Result<Vec<NewEvent>, TaskError> {
    go(row, State::Running)?;
    row.started_at.get_or_insert(row.now);
    Ok(enter(row, None))
}

/// It waits for another attempt, after a rest.
pub(super) fn requeue(
    row: &mut TaskRow,
    why: Fault,
    rest: Duration,
) -> Result<Vec<NewEvent>, TaskError> {
    let mut told = end_attempt(row, State::Queued)?;
    row.progress = Progress::default();
    row.error = Some(why);
    row.run_after = (!rest.is_zero()).then(|| row.now + rest);
    told.extend(enter(row, None));
    told.extend(row.run_after.is_none().then(|| events::available(row)));
    Ok(told)
}

pub(super) fn rested(row: &mut TaskRow) -> Vec<NewEvent> {
    row.run_after = None;
    vec![events::available(row)]
}

pub(super) fn complete(
    row: &mut TaskRow,
    (result, message): (Option<Box<RawValue>>, Option<Message>),
    by: Option<&UserId>,
) -> Result<Vec<NewEvent>, TaskError> {
    let mut told = end_attempt(row, State::Completed)?;
    // What was found on the way is part of what came out.
    row.progress.partial = None;
    row.progress.percent = Some(Percent::WHOLE);
    row.progress.message = message.or(row.progress.message.take());
    row.result = result;
    row.error = None;
    told.extend(enter(row, by));
    Ok(told)
}

/// It could not be done.
pub(super) fn fail(
    row: &mut TaskRow,
    why: Fault,
    by: Option<&UserId>,
) -> Result<Vec<NewEvent>, TaskError> {
    let mut told = end_attempt(row, State::Failed)?;
    row.error = Some(why);
    told.extend(enter(row, by));
    Ok(told)
}

/// It is to end: whoever does it is told, and has some time.
pub(super) fn ask_to_end(row: &mut TaskRow, by: &UserId) -> Result<Vec<NewEvent>, TaskError> {
    let held = row.held.clone();
    go(row, State::Cancelling)?;
    row.cancel_requested_at = Some(row.now);
    row.cancel_requested_by = Some(by.clone());
    let mut told = enter(row, Some(by));
    let to_worker = held.map(|held| events::stop_working(row, &held, "cancelling"));
    told.extend(to_worker);
    Ok(told)
}

/// It has ended because it was to end: whoever wanted that did it, and not who obeyed.
pub(super) fn cancel(row: &mut TaskRow, by: Option<&UserId>) -> Result<Vec<NewEvent>, TaskError> {
    let mut told = end_attempt(row, State::Cancelled)?;
    row.cancel_requested_at.get_or_insert(row.now);
    let by = row.cancel_requested_by.clone().or(by.cloned());
    told.extend(enter(row, by.as_ref()));
    Ok(told)
}

/// Progress that changed: told now where the last event is old enough, else later.
pub(super) fn progressed(row: &mut TaskRow) -> Vec<NewEvent> {
    if row.told_at.is_some_and(|told| row.now < told + TELL_EVERY) {
        row.is_untold = true;
        return Vec::new();
    }
    row.told_at = Some(row.now);
    row.is_untold = true;
    last_progress(row)
}

/// The last report of an attempt is told, however early.
fn last_progress(row: &mut TaskRow) -> Vec<NewEvent> {
    if !std::mem::take(&mut row.is_untold) {
        return Vec::new();
    }
    row.version += 1;
    events::progress(row).collect()
}

/// Nobody is at it from now on; a move that is refused changes nothing.
fn end_attempt(row: &mut TaskRow, next: State) -> Result<Vec<NewEvent>, TaskError> {
    let mut told = Vec::new();
    if row.state.may_become(next, row.is_workflow) {
        told = last_progress(row);
    }
    go(row, next)?;
    Ok(told)
}

fn go(row: &mut TaskRow, next: State) -> Result<(), TaskError> {
    if !row.state.may_become(next, row.is_workflow) {
        return Err(TaskError::WrongState(row.state));
    }
    row.state = next;
    if next != State::Running && next != State::Cancelling {
        row.held = None;
    }
    if next != State::Queued {
        row.run_after = None;
    }
    row.ended_at = next.is_over().then_some(row.now);
    Ok(())
}

fn enter(row: &mut TaskRow, by: Option<&UserId>) -> Vec<NewEvent> {
    row.version += 1;
    events::entered(row, row.state.verb(), by).collect()
}

impl State {
    /// What is told when a task comes to be here.
    fn verb(self) -> &'static str {
        match self {
            Self::Running => "started",
            other => other.as_str(),
        }
    }
}

#[cfg(test)]
mod tests;
