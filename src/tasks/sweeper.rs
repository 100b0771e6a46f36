//! Changes that no request makes: leases run out, cancellations that no worker confirms take effect,
//! retry delays end, and progress that a dead instance left unpublished is published. All instances
//! sweep. Each change is made once.

use std::time::Duration;

use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::row::{Lease, TaskRef, TaskRow, try_lock};
use super::worker::may_retry;
use super::workflow::{LockedTask, lock_with_workflow};
use super::{TaskError, TaskFault, TaskState, Tasks, events, transitions};
use crate::log::{NewEvent, TaskKey};
use crate::platform::Limit;
use crate::platform::LoopMeter;
use crate::platform::database::limited;
use crate::platform::{DedicatedConnection, Dice, InstanceCount};

/// The longest pause between two rounds of all instances together.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The shortest pause between two rounds.
const MIN_PAUSE: Duration = Duration::from_millis(20);
/// Tasks of each kind that one round takes.
const MOST_TASKS: i64 = 500;
/// Progress that is unpublished for longer was left by an instance that died.
const ABANDONED_AFTER: Duration = Duration::from_secs(1);
const WORKER_LOST: &str = "worker_lost";

#[derive(Debug)]
pub struct TaskSweeper {
    pub database: DedicatedConnection,
    pub tasks: Tasks,
    pub instances: InstanceCount,
    /// Spreads the rounds of the instances.
    pub dice: Dice,
    pub meter: LoopMeter,
    pub stop: CancellationToken,
}

impl TaskSweeper {
    /// Sweeps until it is stopped.
    pub async fn run(mut self) {
        let mut rest = self.instances.rest();
        loop {
            let round = self.meter.begin();
            let outcome = limited(Limit::PATIENT, self.round()).await;
            round.end(&outcome);
            let due_in = match outcome {
                Ok(due_in) => due_in,
                Err(error) => {
                    tracing::warn!(%error, "overdue tasks could not be read");
                    MAX_PAUSE
                }
            };
            let latest = due_in.min(self.instances.spread(MAX_PAUSE));
            let pause = self.dice.between(latest, latest + latest / 4);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = rest.pause(pause.max(MIN_PAUSE), due_in) => {}
            }
        }
    }

    /// Handles what is due, and returns when the next round is.
    async fn round(&mut self) -> Result<Duration, TaskError> {
        let cancel = self.tasks.rules.cancel;
        let look = async |connection: &mut PgConnection| look(connection, cancel).await;
        let found = self.database.run_within(Limit::PATIENT, look).await?;
        let reports = &self.tasks.reports;
        for key in &found.workflows {
            reports.update_workflow(&key.broker, &key.task);
        }
        for key in &found.unpublished {
            reports.publish(&key.broker, &key.task);
        }
        for key in &found.due {
            if self.stop.is_cancelled() {
                break;
            }
            match self.tasks.settle_overdue(key).await {
                Ok(()) | Err(TaskError::Busy) => {}
                // The other tasks are still handled.
                Err(error) => {
                    let (broker, task) = (&key.broker, &key.task);
                    tracing::warn!(%error, %broker, %task, "an overdue task could not be changed");
                }
            }
        }
        let is_all = i64::try_from(found.due.len()).is_ok_and(|n| n < MOST_TASKS);
        Ok(if is_all { found.next } else { MIN_PAUSE })
    }
}

impl Tasks {
    /// Makes the change that is due for a task, unless another transaction has the task.
    async fn settle_overdue(&self, key: &TaskKey) -> Result<(), TaskError> {
        let broker = &key.broker;
        let mut transaction = self.pool.begin().await?;
        // A row or a log that is locked for longer is left for the next round.
        sqlx::query!("set local lock_timeout = '200ms'")
            .execute(&mut *transaction)
            .await?;
        let at = TaskRef {
            broker,
            id: &key.task,
        };
        // Most tasks are no steps, so this does not wait for a lock.
        let Some(row) = try_lock(&mut transaction, at).await? else {
            return Ok(());
        };
        let locked = if row.parent.is_none() {
            Some(LockedTask { row, parent: None })
        } else {
            // The workflow must be locked first, so begin again.
            transaction.rollback().await?;
            transaction = self.pool.begin().await?;
            sqlx::query!("set local lock_timeout = '200ms'")
                .execute(&mut *transaction)
                .await?;
            lock_with_workflow(&mut transaction, at).await?
        };
        let Some(mut locked) = locked else {
            return Ok(());
        };
        let events = self.overdue(&mut locked.row)?;
        if !events.is_empty() {
            self.conclude(transaction, broker, locked, events).await?;
        }
        Ok(())
    }

    /// Decides again now that the row is locked: it may have changed since.
    fn overdue(&self, row: &mut TaskRow) -> Result<Vec<NewEvent>, TaskError> {
        let is_over = |lease: &Lease| lease.until <= row.now;
        let has_expired = row.lease.as_ref().is_some_and(is_over);
        let requested = row.cancel_requested_at;
        let is_ignored = requested.is_some_and(|at| at + self.rules.cancel <= row.now);
        match row.state {
            TaskState::Queued if row.run_after.is_some_and(|after| after <= row.now) => {
                Ok(transitions::end_delay(row))
            }
            TaskState::Running if has_expired && may_retry(row) => {
                let delay = self.rules.retry_delay(row.attempts());
                transitions::requeue(row, worker_lost(), delay)
            }
            TaskState::Running if has_expired => transitions::fail(row, worker_lost(), None),
            TaskState::Cancelling if !row.is_workflow && (has_expired || is_ignored) => {
                let lease = row.lease.clone();
                let mut events = transitions::cancel(row, None)?;
                let to_worker = lease.map(|lease| events::stop_working(row, &lease, "cancelled"));
                events.extend(to_worker);
                Ok(events)
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn worker_lost() -> TaskFault {
    let message = "The worker did not report before its lease ended.".to_owned();
    TaskFault {
        code: WORKER_LOST.parse().expect("a valid code"),
        message: message.try_into().expect("a short sentence"),
        retryable: true,
    }
}

/// What one look finds.
struct TaskSighting {
    /// Tasks whose lease, cancellation or retry delay is over.
    due: Vec<TaskKey>,
    /// Tasks with progress that an instance which died should have published.
    unpublished: Vec<TaskKey>,
    /// Workflows that such an instance should have updated from their steps.
    workflows: Vec<TaskKey>,
    /// How long it takes until the next task is due.
    next: Duration,
}

/// Most looks find nothing, so all questions are one statement. Brokerages take turns where delays are over, so that many
/// tasks of one brokerage do not hold up those of others.
async fn look(connection: &mut PgConnection, cancel: Duration) -> sqlx::Result<TaskSighting> {
    let rows = sqlx::query!(
        r#"(select 'due' as "what!", broker_id as "broker_id!", id as "id!", null::float8 as seconds
            from porchlight.tasks
            where state in ('running', 'cancelling') and not is_workflow
                and (lease_until <= statement_timestamp() or state = 'cancelling'
                    and cancel_requested_at <= statement_timestamp() - make_interval(secs => $1))
            limit $2)
           union all
           (select 'due', broker_id, id, null from (
                select broker_id, id, run_after,
                    row_number() over (partition by broker_id order by run_after) as n
                from porchlight.tasks
                where run_after <= statement_timestamp() and state = 'queued') rested
            order by n, run_after limit $2)
           union all
           (select case when is_workflow then 'workflow' else 'unpublished' end, broker_id, id, null
            from porchlight.tasks t
            where state in ('running', 'cancelling') and (
                is_untold and told_at <= statement_timestamp() - make_interval(secs => $3)
                or is_workflow and exists (select from porchlight.tasks c
                    where c.broker_id = t.broker_id and c.parent_id = t.id
                        and c.reported_at > t.reported_at
                        and c.reported_at <= statement_timestamp() - make_interval(secs => $3)))
            limit $2)
           union all
           select 'next', '', '', extract(epoch from least(
               (select min(least(lease_until, cancel_requested_at + make_interval(secs => $1)))
                from porchlight.tasks
                where state in ('running', 'cancelling') and not is_workflow
                    and lease_until > statement_timestamp()),
               (select min(run_after) from porchlight.tasks
                where run_after > statement_timestamp())
           ) - statement_timestamp())::float8"#,
        cancel.as_secs_f64(),
        MOST_TASKS,
        ABANDONED_AFTER.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    let keys = |what: &str| -> Vec<TaskKey> {
        let rows = rows.iter().filter(move |row| row.what == what);
        rows.filter_map(|row| key(&row.broker_id, &row.id))
            .collect()
    };
    let seconds = rows.iter().find_map(|row| row.seconds);
    let clamped = seconds.map(|seconds| seconds.clamp(0.0, 60.0));
    Ok(TaskSighting {
        due: keys("due"),
        unpublished: keys("unpublished"),
        workflows: keys("workflow"),
        next: clamped.map_or(Duration::MAX, Duration::from_secs_f64),
    })
}

fn key(broker: &str, task: &str) -> Option<TaskKey> {
    Some(TaskKey {
        broker: broker.parse().ok()?,
        task: task.parse().ok()?,
    })
}
