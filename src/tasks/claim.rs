//! Claims: a worker takes the oldest task of its types that nobody has.

use std::time::Duration;

use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::row::{At, Lease, TaskRow, look, params, peek, take_free, write};
use super::{State, Task, TaskError, Tasks, moves, turns};
use crate::log::NewEvent;
use crate::platform::{BrokerId, TaskType, UserId};

/// Tasks that a claim looks at: as many others may be claiming at the same moment.
const CANDIDATES: i64 = 32;
/// Brokerages that one claim over all of them tries, where others are quicker each time.
const MOST_TURNS: usize = 16;
/// How often a claim tries again when a sibling is begun at the same moment.
const TRIES: u32 = 10;
/// And what it waits for.
const PAUSE: Duration = Duration::from_millis(5);

/// What a worker wants to do.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    pub worker: UserId,
    pub types: Vec<TaskType>,
    /// For how long it may be silent.
    pub lease_seconds: u32,
}

/// A task that the worker holds.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub broker: BrokerId,
    /// It, with what it was given.
    pub task: Task,
    /// The number of this attempt, which comes with every report on it.
    pub fence: i32,
    /// Until when the worker holds it without another sign.
    pub lease_until: OffsetDateTime,
}

impl Tasks {
    /// Claims a task of a broker, if there is one.
    pub async fn claim(
        &self,
        broker: &BrokerId,
        wanted: &ClaimRequest,
    ) -> Result<Option<Claimed>, TaskError> {
        for _ in 0..TRIES {
            match self.try_claim(broker, wanted).await {
                Err(TaskError::Busy) => tokio::time::sleep(PAUSE).await,
                claimed => return claimed,
            }
        }
        Ok(None)
    }

    /// Claims a task of any brokerage: each that has one has its turn, and then its oldest task is
    /// taken.
    pub async fn claim_anywhere(
        &self,
        wanted: &ClaimRequest,
    ) -> Result<Option<Claimed>, TaskError> {
        let (mut tried, mut failed) = (Vec::new(), None);
        while tried.len() < MOST_TURNS {
            let mut connection = self.pool.acquire().await?;
            let broker = turns::next(&mut connection, &wanted.types).await?;
            drop(connection);
            let Some(broker) = broker.filter(|broker| !tried.contains(broker)) else {
                break;
            };
            match self.try_claim(&broker, wanted).await {
                Ok(Some(claimed)) => return Ok(Some(claimed)),
                // Others are taking what it has. Its next turn comes soon.
                Ok(None) | Err(TaskError::Busy) => {}
                // What is wrong with the tasks of one brokerage must not stop the others'.
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
        wanted: &ClaimRequest,
    ) -> Result<Option<Claimed>, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let row = take_oldest(&mut transaction, broker, &wanted.types).await?;
        let Some(mut row) = row else {
            return Ok(None);
        };
        let lease_until = row.now + Duration::from_secs(u64::from(wanted.lease_seconds));
        let held = Lease {
            worker: wanted.worker.clone(),
            seconds: i32::try_from(wanted.lease_seconds).unwrap_or(i32::MAX),
            until: lease_until,
        };
        let mut events = begin_parent(&mut transaction, broker, &row).await?;
        events.extend(moves::claim(&mut row, held)?);
        write(&mut transaction, broker, &row).await?;
        if row.attempt > 1 {
            super::output::forget(&mut transaction, broker, &row).await?;
        }
        let at = At {
            broker,
            id: &row.id,
        };
        let params = params(&mut transaction, at).await?;
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

/// A workflow runs from its first child on. Whoever is at it may be waiting for the child that
/// is ours: it is not waited for.
async fn begin_parent(
    transaction: &mut Transaction<'_, Postgres>,
    broker: &BrokerId,
    row: &TaskRow,
) -> Result<Vec<NewEvent>, TaskError> {
    let Some(id) = &row.parent else {
        return Ok(Vec::new());
    };
    let seen = peek(transaction, At { broker, id }).await?;
    if seen.is_none_or(|parent| parent.state != State::Queued) {
        return Ok(Vec::new());
    }
    let parent = take_free(transaction, At { broker, id }).await?;
    let mut parent = parent.ok_or(TaskError::Busy)?;
    if parent.state != State::Queued {
        return Ok(Vec::new());
    }
    let events = moves::begin(&mut parent)?;
    write(transaction, broker, &parent).await?;
    Ok(events)
}

/// Those that others are just claiming are passed over, and so are those that rest: the sweeper
/// ends a rest when it is over.
async fn take_oldest(
    connection: &mut PgConnection,
    broker: &BrokerId,
    types: &[TaskType],
) -> sqlx::Result<Option<TaskRow>> {
    let types: Vec<_> = types.iter().map(TaskType::as_str).collect();
    let found = look!(
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
