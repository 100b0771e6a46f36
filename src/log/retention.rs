//! Retention: deletes old events in small steps and moves the horizon.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::log::RetentionSettings;
use crate::platform::{BrokerId, EventType, ModuleName};
use crate::platform::{DedicatedConnection, Limit, Pool, Transaction};

mod step;

/// Events that one transaction deletes.
const STEP: i64 = 1_000;
/// After this time a sweep ends, because others wait for it. The rest comes with the next one.
pub const LONGEST_SWEEP: Duration = Duration::from_mins(10);
/// Held by the instance that deletes, for one step at a time: a lock of the session would not work behind a
/// pooler.
const ADVISORY_LOCK: i64 = 0x706f_7263_6801;

/// The events that tell that a record is gone. Nothing is kept of such a record.
#[derive(Clone, Debug, Default)]
pub struct Deletions {
    modules: Vec<String>,
    types: Vec<String>,
}

impl Deletions {
    /// Of each module, the type of the event.
    #[must_use]
    pub fn of(types: impl IntoIterator<Item = (ModuleName, EventType)>) -> Self {
        let texts = |(module, of): (ModuleName, EventType)| (module.to_string(), of.to_string());
        let (modules, types) = types.into_iter().map(texts).unzip();
        Self { modules, types }
    }
}

/// Deletes old events of every log and returns how many. After `until` no step begins, but the first of each kind.
///
/// Leaves it to another instance that does it.
pub async fn run(
    pool: &Pool,
    settings: &RetentionSettings,
    deletions: &Deletions,
    until: Instant,
) -> sqlx::Result<u64> {
    let mut database = DedicatedConnection::new(pool.clone());
    while within_limit(&mut database, forget_keys).await? > 0 && Instant::now() < until {}
    let due = within_limit(&mut database, async |c: &mut PgConnection| {
        due(c, settings).await
    })
    .await?;
    let mut removed = 0;
    for (broker, upto) in due {
        loop {
            let remove =
                async |c: &mut PgConnection| step::remove(c, &broker, upto, deletions).await;
            let events = within_limit(&mut database, remove).await?;
            removed += events;
            if events == 0 {
                break;
            }
            if Instant::now() >= until {
                return Ok(removed);
            }
        }
    }
    Ok(removed)
}

/// Each step has a limit of its own.
async fn within_limit<T>(
    database: &mut DedicatedConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    database.run_within(Limit::HOUSEKEEPING, work).await
}

/// Whether this instance deletes, until the end of the transaction.
async fn is_mine(transaction: &mut PgConnection) -> sqlx::Result<bool> {
    let mine = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1) as "mine!""#,
        ADVISORY_LOCK
    );
    mine.fetch_one(transaction).await
}

/// Returns how many idempotency keys it has forgotten.
async fn forget_keys(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let mut transaction = Transaction::begin(connection).await?;
    if !is_mine(&mut transaction).await? {
        return Ok(0);
    }
    let forgotten = super::idempotency::forget_old(&mut transaction, STEP).await?;
    transaction.commit().await?;
    Ok(forgotten)
}

/// The logs with old events, and up to which position they are old.
async fn due(
    connection: &mut PgConnection,
    settings: &RetentionSettings,
) -> sqlx::Result<Vec<(BrokerId, i64)>> {
    let rows = sqlx::query!(
        r#"select b.broker_id, greatest(b.head - $2, coalesce(old.position, 0)) as "upto!"
           from porchlight.brokers b
           left join lateral (
               -- The newest event that is too old: times grow with positions, so the
               -- first young one from the horizon on ends the search.
               select coalesce(min(e.position) - 1, b.head) as position
               from porchlight.events e
               where e.broker_id = b.broker_id and e.position > b.horizon
                   and e.created_at >= now() - make_interval(secs => $1)
           ) old on true
           where greatest(b.head - $2, coalesce(old.position, 0)) > b.horizon"#,
        settings.age().as_secs_f64(),
        settings.max_events(),
    )
    .fetch_all(connection)
    .await?;
    let parsed = |id: &str| BrokerId::parse(id).ok();
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((parsed(&row.broker_id)?, row.upto)))
        .collect())
}
