//! Claims: a worker takes the oldest free task of its types.

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::row::{self, Lease, TaskRef, TaskRow, select_tasks, try_lock, write};
use super::{Task, TaskError, TaskState, Tasks, output, round_robin, transitions};
use crate::log::NewEvent;
use crate::platform::{BrokerId, TaskType, Transaction, UserId};

/// Tasks that a claim considers. As many claims may run at the same moment.
const CANDIDATES: i64 = 32;
/// Brokerages that one claim tries when other workers are faster each time.
const MOST_BROKERAGES: usize = 16;
/// How often a claim is tried when another worker begins the same workflow.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Debug)]
pub struct ClaimRequest {
    pub worker: UserId,
    pub types: Vec<TaskType>,
    pub lease_seconds: u32,
}

/// A task whose lease the worker has.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub broker: BrokerId,
    /// The task with its parameters.
    pub task: Task,
    /// The number of this attempt. Every report names it.
    pub fence: i32,
    /// When the lease ends unless the worker renews it.
    pub lease_until: OffsetDateTime,
}

impl Tasks {
    /// Claims a task of a brokerage, if there is one.
    pub async fn claim(
        &self,
        broker: &BrokerId,
        request: &ClaimRequest,
    ) -> Result<Option<Claimed>, TaskError> {
        for _ in 0..TRIES {
            match self.try_claim(broker, request).await {
                Err(TaskError::Busy) => tokio::time::sleep(PAUSE).await,
                claimed => return claimed,
            }
        }
        Ok(None)
    }

    /// Claims a task of any brokerage. Brokerages take turns. The oldest task of the brokerage is
    /// claimed.
    pub async fn claim_anywhere(
        &self,
        request: &ClaimRequest,
    ) -> Result<Option<Claimed>, TaskError> {
        let (mut tried, mut failed) = (Vec::new(), None);
        while tried.len() < MOST_BROKERAGES {
            let mut connection = self.pool.acquire().await?;
            let broker = round_robin::next(&mut connection, &request.types).await?;
            drop(connection);
            let Some(broker) = broker.filter(|broker| !tried.contains(broker)) else {
                break;
            };
            match self.try_claim(&broker, request).await {
                Ok(Some(claimed)) => return Ok(Some(claimed)),
                // Other workers took its tasks. Its next turn comes soon.
                Ok(None) | Err(TaskError::Busy) => {}
                // A failure in one brokerage must not stop the others.
                Err(error) => {
                    tracing::warn!(%error, %broker, "a task could not be claimed");
                    failed = Some(error);
                }
            }
            tried.push(broker);
        }
        failed.map_or(Ok(None), Err)
    }

    async fn try_claim(
        &self,
        broker: &BrokerId,
        request: &ClaimRequest,
    ) -> Result<Option<Claimed>, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let row = lock_oldest(&mut transaction, broker, &request.types).await?;
        let Some(mut row) = row else {
            return Ok(None);
        };
        let lease_until = row.now + Duration::from_secs(u64::from(request.lease_seconds));
        let lease = Lease {
            worker: request.worker.clone(),
            seconds: i32::try_from(request.lease_seconds).unwrap_or(i32::MAX),
            until: lease_until,
        };
        let mut events = begin_parent(&mut transaction, broker, &row).await?;
        events.extend(transitions::claim(&mut row, lease)?);
        write(&mut transaction, broker, &row).await?;
        if row.attempt > 1 {
            output::remove_old(&mut transaction, broker, &row).await?;
        }
        let at = TaskRef {
            broker,
            id: &row.id,
        };
        let params = row::params(&mut transaction, at).await?;
        self.committer.conclude(transaction, broker, events).await?;
        self.notices.changed(broker, &row.id);
        Ok(Some(Claimed {
            broker: broker.clone(),
            fence: row.attempt,
            task: Task::whole(row, params),
            lease_until,
        }))
    }
}

/// A workflow runs from its first step on. Its lock is not waited for: the transaction that has it
/// may wait for the step that is locked here.
async fn begin_parent(
    transaction: &mut Transaction<'_>,
    broker: &BrokerId,
    row: &TaskRow,
) -> Result<Vec<NewEvent>, TaskError> {
    let Some(id) = &row.parent else {
        return Ok(Vec::new());
    };
    let at = TaskRef { broker, id };
    let found = row::read(transaction, at).await?;
    if found.is_none_or(|parent| parent.state != TaskState::Queued) {
        return Ok(Vec::new());
    }
    let parent = try_lock(transaction, at).await?;
    let mut parent = parent.ok_or(TaskError::Busy)?;
    if parent.state != TaskState::Queued {
        return Ok(Vec::new());
    }
    let events = transitions::begin_workflow(&mut parent)?;
    write(transaction, broker, &parent).await?;
    Ok(events)
}

/// Skips tasks that other claims have locked, and tasks whose retry delay is not over: the sweeper
/// ends the delays.
async fn lock_oldest(
    connection: &mut PgConnection,
    broker: &BrokerId,
    types: &[TaskType],
) -> sqlx::Result<Option<TaskRow>> {
    let types: Vec<_> = types.iter().map(TaskType::as_str).collect();
    let found = select_tasks!(
        "select t.* from porchlight.tasks t join (
             select c.id, c.created_at from unnest($2::text[]) as wanted(type)
             cross join lateral (
                 select c.id, c.created_at from porchlight.tasks c
                 where c.broker_id = $1 and c.type = wanted.type and c.state = 'queued'
                     and not c.is_workflow and c.run_after is null
                 order by c.created_at limit $3
             ) c
             order by c.created_at limit $3
         ) oldest using (id)
         where t.broker_id = $1 and t.state = 'queued' and not t.is_workflow
             and t.run_after is null
         order by oldest.created_at limit 1 for update of t skip locked",
        broker.as_str(),
        &types as &[&str],
        CANDIDATES,
    );
    found
        .fetch_optional(connection)
        .await?
        .map(TaskRow::try_from)
        .transpose()
}
