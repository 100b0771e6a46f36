//! The end of leases that nobody renews: noticed by whichever instance looks first, told once.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use super::LockError;
use super::events::{End, Words};
use super::row::{LockRow, StoredLock};
use crate::directory::Modules;
use crate::log::EventCommitter;
use crate::platform::BrokerId;
use crate::platform::DedicatedConnection;
use crate::platform::Dice;

/// The sweeper looks at least this often: leases can be shortened, or made elsewhere.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The sweeper never looks more often.
const REST: Duration = Duration::from_millis(20);
const MOST_BROKERS: i64 = 64;
/// Locks that one transaction ends.
const STEP: i64 = 200;

#[derive(Debug)]
pub struct LockSweeper {
    pub database: DedicatedConnection,
    pub modules: Modules,
    pub committer: EventCommitter,
    /// So that instances do not all look at once.
    pub dice: Dice,
    pub stop: CancellationToken,
}

impl LockSweeper {
    /// Sweeps until it is stopped. Any number of instances may.
    pub async fn run(mut self) {
        loop {
            let rest = match self.round().await {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::warn!(%error, "the ends of locks could not be looked for");
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

    /// Ends what is over, and says when to look again.
    async fn round(&mut self) -> sqlx::Result<Duration> {
        let due = self.database.run(async |connection| due(connection).await);
        let due = due.await?;
        let mut rest = due.next;
        for broker in due.brokers {
            match self.sweep(&broker).await {
                Ok(ended) if ended == STEP => rest = REST,
                Ok(_) => {}
                // The others' locks end all the same.
                Err(error) => tracing::warn!(%error, %broker, "locks could not be ended"),
            }
        }
        Ok(rest)
    }

    async fn sweep(&mut self, broker: &BrokerId) -> Result<i64, LockError> {
        let (words, committer) = (Words(&self.modules), &self.committer);
        let swept = self.database.run(async |connection| {
            match sweep(connection, broker, (words, committer)).await {
                Err(LockError::Database(error)) => Err(error),
                outcome => Ok(outcome),
            }
        });
        swept.await?
    }
}

/// What is over, and when the next will be.
struct Due {
    brokers: Vec<BrokerId>,
    next: Duration,
}

// A time that stands still for a statement is one that an index can be searched for.
async fn due(connection: &mut PgConnection) -> sqlx::Result<Due> {
    let row = sqlx::query!(
        r#"select array(
                   select distinct broker_id from porchlight.locks
                   where locked_until <= statement_timestamp() order by broker_id limit $1
               ) as "brokers!",
               extract(epoch from (
                   select min(locked_until) - statement_timestamp() from porchlight.locks
                   where locked_until > statement_timestamp()
               ))::float8 as next"#,
        MOST_BROKERS,
    )
    .fetch_one(connection)
    .await?;
    let parsed = |id: &String| BrokerId::parse(id).ok();
    let next = row.next.map(|seconds| seconds.clamp(0.0, 60.0));
    Ok(Due {
        brokers: row.brokers.iter().filter_map(parsed).collect(),
        next: next.map_or(LOOK_EVERY, Duration::from_secs_f64),
    })
}

/// Ends one broker's locks that are over; says how many.
async fn sweep(
    connection: &mut PgConnection,
    broker: &BrokerId,
    (words, committer): (Words<'_>, &EventCommitter),
) -> Result<i64, LockError> {
    let mut transaction = connection.begin().await?;
    // A log that somebody holds is left for the next round.
    sqlx::query!("set local lock_timeout = '200ms'")
        .execute(&mut *transaction)
        .await?;
    let rows = take_due(&mut transaction, broker).await?;
    free(&mut transaction, broker, &rows).await?;
    let events = rows.iter().flat_map(|row| ended(words, row)).collect();
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    committer.conclude(transaction, broker, events).await?;
    Ok(count)
}

fn ended(words: Words<'_>, row: &LockRow) -> Vec<crate::log::NewEvent> {
    let former = row.held.as_ref();
    former.map_or_else(Vec::new, |former| words.freed(row, former, &End::Expired))
}

/// Rows that somebody is at are left alone: renewed, they are not over; ended by another
/// instance, they are told already; needed by a transaction of the CRM, they can wait.
async fn take_due(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<Vec<LockRow>> {
    let rows = sqlx::query_as!(
        StoredLock,
        r#"select module, record_id, fence, user_id, session, sessions::text, audience, locked_at,
               renewed_at, locked_until, waiting::text as "waiting!", clock_timestamp() as "now!"
           from porchlight.locks
           where broker_id = $1 and locked_until <= statement_timestamp()
           order by locked_until limit $2 for update skip locked"#,
        broker.as_str(),
        STEP,
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
             renewed_at = null, locked_until = null, waiting = '[]'
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
