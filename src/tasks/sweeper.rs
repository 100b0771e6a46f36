//! What nobody asks for: leases end, cancels that no worker acknowledges come true, queued
//! tasks have rested, and what a dead instance left untold is told. Any number of instances
//! sweep; each change is made once.

use std::time::Duration;

use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::family::{Family, take_family};
use super::row::{At, TaskRow, take_free};
use super::worker::may_go_again;
use super::{Fault, State, TaskError, Tasks, moves};
use crate::log::NewEvent;
use crate::platform::Dice;
use crate::platform::Limit;
use crate::platform::database::limited;
use crate::platform::{BrokerId, TaskId};

/// The sweeper looks at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The sweeper never looks more often.
const REST: Duration = Duration::from_millis(20);
const STEP: i64 = 500;
/// What was not told for so long has been forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// Why a task that nobody reports on was begun again, or failed.
const WORKER_LOST: &str = "worker_lost";

#[derive(Debug)]
pub struct TaskSweeper {
    pub tasks: Tasks,
    /// So that instances do not all look at once.
    pub dice: Dice,
    pub stop: CancellationToken,
}

impl TaskSweeper {
    /// Sweeps until it is stopped.
    pub async fn run(self) {
        loop {
            let rest = match limited(Limit::PATIENT, self.round()).await {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::warn!(%error, "the ends of tasks could not be looked for");
                    LOOK_EVERY
                }
            };
            let latest = rest.min(LOOK_EVERY);
            let rest = self.dice.between(latest, latest + latest / 4).max(REST);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Does what is due, and says when to look again.
    async fn round(&self) -> Result<Duration, TaskError> {
        let mut connection = self.tasks.pool.acquire().await?;
        let due = due(&mut connection, self.tasks.rules.cancel).await?;
        let next = next(&mut connection, self.tasks.rules.cancel).await?;
        let forgotten = forgotten(&mut connection).await?;
        drop(connection);
        for (broker, id, is_workflow) in forgotten {
            if is_workflow {
                self.tasks.reports.look_at_family(&broker, &id);
            } else {
                self.tasks.reports.look_at(&broker, &id);
            }
        }
        for (broker, id) in &due {
            if self.stop.is_cancelled() {
                break;
            }
            match self.tasks.settle_overdue(broker, id).await {
                Ok(()) | Err(TaskError::Busy) => {}
                // The others' end all the same.
                Err(error) => tracing::warn!(%error, %broker, %id, "a task could not be ended"),
            }
        }
        let is_all = i64::try_from(due.len()).is_ok_and(|n| n < STEP);
        Ok(if is_all { next } else { REST })
    }
}

impl Tasks {
    /// Does what is due for one task, unless somebody else is at it.
    async fn settle_overdue(&self, broker: &BrokerId, id: &TaskId) -> Result<(), TaskError> {
        let mut transaction = self.pool.begin().await?;
        // A row or a log that somebody holds is left for the next round.
        sqlx::query!("set local lock_timeout = '200ms'")
            .execute(&mut *transaction)
            .await?;
        let at = At { broker, id };
        // Most tasks are no steps: nobody is waited for.
        let Some(seen) = take_free(&mut transaction, at).await? else {
            return Ok(());
        };
        let family = if seen.parent.is_none() {
            let parent = None;
            Some(Family { row: seen, parent })
        } else {
            // The workflow comes first, so begin anew.
            transaction.rollback().await?;
            transaction = self.pool.begin().await?;
            sqlx::query!("set local lock_timeout = '200ms'")
                .execute(&mut *transaction)
                .await?;
            take_family(&mut transaction, at).await?
        };
        let Some(mut family) = family else {
            return Ok(());
        };
        let events = self.overdue(&mut family.row)?;
        if !events.is_empty() {
            self.conclude(transaction, (broker, family), events).await?;
        }
        Ok(())
    }

    /// Looks again, now that the row is ours: others may have been quicker.
    fn overdue(&self, row: &mut TaskRow) -> Result<Vec<NewEvent>, TaskError> {
        let is_over = |lease: &super::row::Lease| lease.until <= row.now;
        let is_silent = row.held.as_ref().is_some_and(is_over);
        let asked = row.cancel_requested_at;
        let is_ignored = asked.is_some_and(|asked| asked + self.rules.cancel <= row.now);
        match row.state {
            State::Queued if row.run_after.is_some_and(|after| after <= row.now) => {
                Ok(moves::rested(row))
            }
            State::Running if is_silent && may_go_again(row) => {
                let rest = self.rules.rest_after(row.attempt);
                moves::requeue(row, worker_lost(), rest)
            }
            State::Running if is_silent => moves::fail(row, worker_lost(), None),
            State::Cancelling if !row.is_workflow && (is_silent || is_ignored) => {
                let held = row.held.clone();
                let mut told = moves::cancel(row, None)?;
                let to_worker =
                    held.map(|held| super::events::stop_working(row, &held, "cancelled"));
                told.extend(to_worker);
                Ok(told)
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn worker_lost() -> Fault {
    let words = "The worker was not heard of before its lease was over.".to_owned();
    Fault {
        code: WORKER_LOST.parse().expect("a short word"),
        message: words.try_into().expect("a short sentence"),
        retryable: true,
    }
}

/// Those whose rest is over come in turn by brokerage: nobody can claim them before that, and many of
/// one must not hold up another's.
async fn due(
    connection: &mut PgConnection,
    cancel: Duration,
) -> sqlx::Result<Vec<(BrokerId, TaskId)>> {
    let rows = sqlx::query!(
        r#"(select broker_id as "broker_id!", id as "id!" from porchlight.tasks
            where state in ('running', 'cancelling') and not is_workflow
                and (lease_until <= statement_timestamp() or state = 'cancelling'
                    and cancel_requested_at <= statement_timestamp() - make_interval(secs => $1))
            limit $2)
           union all
           (select broker_id, id from (
                select broker_id, id, run_after,
                    row_number() over (partition by broker_id order by run_after) as n
                from porchlight.tasks
                where run_after <= statement_timestamp() and state = 'queued') rested
            order by n, run_after limit $2)"#,
        cancel.as_secs_f64(),
        STEP,
    )
    .fetch_all(connection)
    .await?;
    let name = |broker: &str, id: &str| Some((broker.parse().ok()?, id.parse().ok()?));
    Ok(rows
        .iter()
        .filter_map(|row| name(&row.broker_id, &row.id))
        .collect())
}

/// How long nothing is due.
async fn next(connection: &mut PgConnection, cancel: Duration) -> sqlx::Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from least(
               (select min(least(lease_until, cancel_requested_at + make_interval(secs => $1)))
                from porchlight.tasks
                where state in ('running', 'cancelling') and not is_workflow
                    and lease_until > statement_timestamp()),
               (select min(run_after) from porchlight.tasks
                where run_after > statement_timestamp())
           ) - statement_timestamp())::float8"#,
        cancel.as_secs_f64(),
    )
    .fetch_one(connection)
    .await?;
    let clamped = seconds.map(|seconds| seconds.clamp(0.0, 60.0));
    Ok(clamped.map_or(LOOK_EVERY, Duration::from_secs_f64))
}

/// Tasks with something that should have been told long ago, and workflows that have not
/// followed their steps.
async fn forgotten(connection: &mut PgConnection) -> sqlx::Result<Vec<(BrokerId, TaskId, bool)>> {
    let rows = sqlx::query!(
        "select broker_id, id, is_workflow from porchlight.tasks t
         where state in ('running', 'cancelling') and (
             is_untold and told_at <= statement_timestamp() - make_interval(secs => $1)
             or is_workflow and exists (select from porchlight.tasks c
                 where c.broker_id = t.broker_id and c.parent_id = t.id
                     and c.reported_at > t.reported_at
                     and c.reported_at <= statement_timestamp() - make_interval(secs => $1)))
         limit $2",
        FORGOTTEN.as_secs_f64(),
        STEP,
    )
    .fetch_all(connection)
    .await?;
    let name = |broker: &str, id: &str, is_workflow| {
        Some((broker.parse().ok()?, id.parse().ok()?, is_workflow))
    };
    Ok(rows
        .iter()
        .filter_map(|row| name(&row.broker_id, &row.id, row.is_workflow))
        .collect())
}
