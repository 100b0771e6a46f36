//! Workflows: where they are is where their children are.

use serde_json::value::RawValue;
use sqlx::{PgConnection, Postgres, Transaction};

use super::row::{At, TaskRow, peek, take, write};
use super::{Fault, Percent, State, TaskError, Tasks, moves};
use crate::log::NewEvent;
use crate::platform::{BrokerId, TaskId};

const CHILD_FAILED: &str = "child_failed";

/// A task that is ours, and its workflow, which was ours before.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) row: TaskRow,
    pub(super) parent: Option<TaskRow>,
}

/// What has become of a workflow's children, without those that were retried in it.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    all: i32,
    started: i32,
    ended: i32,
    failed: i32,
    cancelled: i32,
    permille: i32,
}

/// Takes a task for a change, its workflow first.
pub(super) async fn take_family(
    connection: &mut PgConnection,
    at: At<'_>,
) -> sqlx::Result<Option<Family>> {
    // Whose child it is never changes.
    let Some(seen) = peek(connection, at).await? else {
        return Ok(None);
    };
    let parent = match &seen.parent {
        Some(id) => take(connection, At { id, ..at }).await?,
        None => None,
    };
    let row = take(connection, at).await?;
    Ok(row.map(|row| Family { row, parent }))
}

/// Brings a workflow that is ours up to its children, as this transaction has left them.
pub(super) async fn settle(
    connection: &mut PgConnection,
    broker: &BrokerId,
    parent: &mut TaskRow,
) -> Result<Vec<NewEvent>, TaskError> {
    if parent.state.is_over() {
        return Ok(Vec::new());
    }
    let sum = sum(connection, broker, &parent.id).await?;
    parent.reported_at = Some(parent.now);
    let told = follow(parent, sum)?;
    write(connection, broker, parent).await?;
    Ok(told)
}

fn follow(parent: &mut TaskRow, sum: Sum) -> Result<Vec<NewEvent>, TaskError> {
    let mut told = Vec::new();
    if sum.started > 0 && parent.state == State::Queued {
        told.extend(moves::begin(parent)?);
    }
    let percent = i16::try_from(sum.permille / sum.all.max(1)).ok();
    let percent = percent.and_then(|permille| Percent::of_permille(permille).ok());
    let step = Some((sum.ended, sum.all));
    let is_new = parent.progress.percent != percent || parent.progress.step != step;
    (parent.progress.percent, parent.progress.step) = (percent, step);
    if sum.ended < sum.all {
        told.extend(
            is_new
                .then(|| moves::progressed(parent))
                .into_iter()
                .flatten(),
        );
        return Ok(told);
    }
    // The end says it, too.
    parent.is_untold = false;
    told.extend(end(parent, sum)?);
    Ok(told)
}

fn end(parent: &mut TaskRow, sum: Sum) -> Result<Vec<NewEvent>, TaskError> {
    if parent.cancel_requested_at.is_some() || sum.cancelled == sum.all {
        return moves::cancel(parent, None);
    }
    if sum.failed == 0 {
        let nothing: Option<Box<RawValue>> = None;
        return moves::complete(parent, (nothing, None), None);
    }
    let words = format!("{} of {} steps failed.", sum.failed, sum.all);
    let why = Fault {
        code: CHILD_FAILED.parse().expect("a short word"),
        message: words.try_into().expect("a short sentence"),
        retryable: true,
    };
    moves::fail(parent, why, None)
}

async fn sum(
    connection: &mut PgConnection,
    broker: &BrokerId,
    parent: &TaskId,
) -> sqlx::Result<Sum> {
    sqlx::query_as!(
        Sum,
        r#"select count(*)::integer as "all!",
               count(*) filter (where attempt > 0)::integer as "started!",
               count(*) filter (where ended_at is not null)::integer as "ended!",
               count(*) filter (where state = 'failed')::integer as "failed!",
               count(*) filter (where state = 'cancelled')::integer as "cancelled!",
               coalesce(sum(permille), 0)::integer as "permille!"
           from porchlight.tasks c
           where broker_id = $1 and parent_id = $2 and not exists (
               select from porchlight.tasks r where r.broker_id = c.broker_id
                   and r.retry_of = c.id and r.parent_id = c.parent_id)"#,
        broker.as_str(),
        parent.as_str(),
    )
    .fetch_one(connection)
    .await
}

impl Tasks {
    /// The end of every change of a task: it is written, its workflow follows, the log tells.
    pub(super) async fn conclude(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        (broker, mut family): (&BrokerId, Family),
        mut events: Vec<NewEvent>,
    ) -> Result<TaskRow, TaskError> {
        write(&mut transaction, broker, &family.row).await?;
        if let Some(parent) = &mut family.parent {
            events.extend(settle(&mut transaction, broker, parent).await?);
        }
        self.committer.conclude(transaction, broker, events).await?;
        self.notices.changed(broker, &family.row.id);
        if let Some(parent) = &family.parent {
            if parent.state.is_over() {
                self.notices.changed(broker, &parent.id);
            }
            if parent.is_untold {
                self.reports.look_at_family(broker, &parent.id);
            }
        }
        Ok(family.row)
    }
}

#[cfg(test)]
mod tests;
