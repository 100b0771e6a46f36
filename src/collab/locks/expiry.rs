//! Ends leases that nobody renews. Every instance looks for them; one of them ends each lease and
//! publishes its event.

use std::time::Duration;

use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::LockError;
use super::events::{LockEnd, LockEvents};
use super::row::{LockRow, StoredLock};
use super::viewers::RecordViewers;
use crate::directory::Modules;
use crate::log::{EventCommitter, NewEvent};
use crate::platform::DedicatedConnection;
use crate::platform::{BrokerId, Transaction};
use crate::platform::{Dice, InstanceCount};

/// The longest time between two sweeps of all instances together: another instance may grant a shorter lease at any time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// Brokerages that one query reads. Those after them come at once.
const MOST_BROKERS: i64 = 64;
/// Locks that one transaction ends.
const MOST_IN_TRANSACTION: i64 = 200;

#[derive(Debug)]
pub struct LockSweeper {
    pub database: DedicatedConnection,
    pub modules: Modules,
    pub committer: EventCommitter,
    pub instances: InstanceCount,
    /// Spreads the sweeps of several instances.
    pub dice: Dice,
    pub stop: CancellationToken,
}

impl LockSweeper {
    pub(super) async fn run(mut self) {
        let mut rest = self.instances.rest();
        loop {
            let due_in = match self.sweep().await {
                Ok(due_in) => due_in,
                Err(error) => {
                    tracing::warn!(%error, "expired locks could not be read");
                    LONGEST_PAUSE
                }
            };
            let next = due_in.min(self.instances.spread(LONGEST_PAUSE));
            let pause = self.dice.between(next, next + next / 4);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = rest.pause(pause.max(SHORTEST_PAUSE), due_in) => {}
            }
        }
    }

    /// Ends the leases that have expired, and returns when to sweep again.
    async fn sweep(&mut self) -> sqlx::Result<Duration> {
        let (mut next, mut after) = (Duration::MAX, None);
        while !self.stop.is_cancelled() {
            let due = async |connection: &mut PgConnection| due(connection, after.as_ref()).await;
            let due = self.database.run(due).await?;
            next = next.min(due.next);
            for broker in &due.brokers {
                match self.sweep_brokerage(broker).await {
                    Ok(ended) if ended == MOST_IN_TRANSACTION => next = SHORTEST_PAUSE,
                    Ok(_) => {}
                    // A failure at one brokerage must not keep the others' locks.
                    Err(error) => {
                        tracing::warn!(%error, %broker, "expired locks could not be ended");
                    }
                }
            }
            // Those that could not be ended do not come again before the others.
            match due.brokers.into_iter().last() {
                Some(last) if due.is_full => after = Some(last),
                _ => break,
            }
        }
        Ok(next)
    }

    async fn sweep_brokerage(&mut self, broker: &BrokerId) -> Result<i64, LockError> {
        let (events, committer) = (LockEvents(&self.modules), &self.committer);
        let ended = self.database.run(async |connection| {
            match end_expired(connection, broker, events, committer).await {
                Err(LockError::Database(error)) => Err(error),
                outcome => Ok(outcome),
            }
        });
        ended.await?
    }
}

struct Due {
    /// Brokerages with leases that have expired.
    brokers: Vec<BrokerId>,
    /// There may be further ones after the last.
    is_full: bool,
    /// How long until the next lease expires, at most.
    next: Duration,
}

// With `statement_timestamp()`, which is constant within a statement, Postgres can use the index.
async fn due(connection: &mut PgConnection, after: Option<&BrokerId>) -> sqlx::Result<Due> {
    let row = sqlx::query!(
        r#"select array(
                   select distinct broker_id from porchlight.locks
                   where locked_until <= statement_timestamp() and broker_id > $2
                   order by broker_id limit $1
               ) as "brokers!",
               extract(epoch from (
                   select min(locked_until) - statement_timestamp() from porchlight.locks
                   where locked_until > statement_timestamp()
               ))::float8 as next"#,
        MOST_BROKERS,
        after.map_or("", BrokerId::as_str),
    )
    .fetch_one(connection)
    .await?;
    let parsed = |id: &String| BrokerId::parse(id).ok();
    let next = row.next.map(|seconds| seconds.clamp(0.0, 60.0));
    Ok(Due {
        is_full: i64::try_from(row.brokers.len()).is_ok_and(|count| count >= MOST_BROKERS),
        brokers: row.brokers.iter().filter_map(parsed).collect(),
        next: next.map_or(Duration::MAX, Duration::from_secs_f64),
    })
}

/// Ends the expired leases of one brokerage, and returns how many these were.
async fn end_expired(
    connection: &mut PgConnection,
    broker: &BrokerId,
    lock_events: LockEvents<'_>,
    committer: &EventCommitter,
) -> Result<i64, LockError> {
    let mut transaction = Transaction::begin(connection).await?;
    // If another transaction has the log for longer, the next sweep tries again.
    sqlx::query!("set local lock_timeout = '200ms'")
        .execute(&mut *transaction)
        .await?;
    let rows = take_due(&mut transaction, broker).await?;
    free(&mut transaction, broker, &rows).await?;
    let viewers = RecordViewers::of(&mut transaction, broker, &rows).await?;
    let events = rows.iter();
    let events = events
        .flat_map(|row| expired(lock_events, row, &viewers))
        .collect();
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    committer.conclude(transaction, broker, events).await?;
    Ok(count)
}

fn expired(events: LockEvents<'_>, row: &LockRow, viewers: &RecordViewers) -> Vec<NewEvent> {
    let former = row.holder.as_ref();
    former.map_or_else(Vec::new, |former| {
        events.freed(row, former, &LockEnd::Expired, viewers)
    })
}

/// Skips rows that another transaction has: it may renew the lease, or end it and publish that, or
/// it may be a transaction of the CRM, whose lock can end a little later.
async fn take_due(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<Vec<LockRow>> {
    let rows = sqlx::query_as!(
        StoredLock,
        r#"select module, record_id, fence, user_id, session, sessions::text, audience, locked_at,
               renewed_at, locked_until, waiting::text as "waiting!", clock_timestamp() as "now!"
           from porchlight.locks
           where broker_id = $1 and locked_until <= statement_timestamp()
           order by locked_until limit $2 for update skip locked"#,
        broker.as_str(),
        MOST_IN_TRANSACTION,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(LockRow::try_from).collect()
}

async fn free(
    connection: &mut PgConnection,
    broker: &BrokerId,
    rows: &[LockRow],
) -> sqlx::Result<()> {
    let records = rows.iter().map(|row| &row.record);
    let (modules, ids): (Vec<_>, Vec<_>) = records
        .map(|record| (record.module.as_str(), record.id.as_str()))
        .unzip();
    sqlx::query!(
        "update porchlight.locks l
         set user_id = null, session = null, sessions = null, audience = null, locked_at = null,
             renewed_at = null, locked_until = null, waiting = '[]',
             free_since = clock_timestamp()
         from unnest($2::text[], $3::text[]) as over(module, record_id)
         where l.broker_id = $1 and l.module = over.module and l.record_id = over.record_id",
        broker.as_str(),
        &modules as &[&str],
        &ids as &[&str],
    )
    .execute(connection)
    .await
    .map(drop)
}
