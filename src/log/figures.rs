//! How the log of a brokerage is doing: its newest event, and the changes on their way to it.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::poison::{self, PoisonCounts};
use crate::log::event::{Cursor, Epoch};
use crate::platform::BrokerId;

/// Rows of the outbox that are looked at: the oldest.
const MOST_ROWS: i64 = 10_000;

#[derive(Debug)]
pub struct LogFigures {
    /// The newest position. `None` if the brokerage has no log.
    pub head: Option<Cursor>,
    /// The time of the newest event, unless it has been removed.
    pub last_at: Option<OffsetDateTime>,
}

/// Changes of watched tables that are not in the log yet.
#[derive(Debug)]
pub struct RelayFigures {
    pub waiting: i64,
    pub oldest_seconds: Option<f64>,
    /// Of all brokerages: what a bulk change has changed is not known before it is unpacked.
    pub bulk_changes: i64,
    pub poison: PoisonCounts,
}

/// A brokerage with changes that do not become events. It is as the changes name it: maybe not, or not validly.
#[derive(Debug)]
pub struct RelayTrouble {
    pub broker: Option<String>,
    pub oldest_seconds: f64,
    pub poison: i64,
}

impl RelayTrouble {
    /// `None` if this is no valid brokerage.
    #[must_use]
    pub fn brokerage(&self) -> Option<BrokerId> {
        self.broker.as_deref()?.parse().ok()
    }
}

pub async fn log(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<LogFigures> {
    let row = sqlx::query!(
        r#"select b.epoch, b.head, e.created_at as "created_at?"
           from porchlight.brokers b
           left join porchlight.events e on e.broker_id = b.broker_id and e.position = b.head
           where b.broker_id = $1"#,
        broker.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(LogFigures {
        last_at: row.as_ref().and_then(|row| row.created_at),
        head: row.map(|row| Epoch::stored(&row.epoch).at(row.head)),
    })
}

pub async fn relay(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<RelayFigures> {
    let row = sqlx::query!(
        r#"with oldest as (
             select broker_id, created_at, operation from porchlight.outbox
             order by id, line limit $2)
         select count(*) filter (where broker_id = $1) as "waiting!",
             (extract(epoch from clock_timestamp()
                 - min(created_at) filter (where broker_id = $1)))::float8 as oldest_seconds,
             count(*) filter (where operation is not null) as "bulk_changes!"
         from oldest"#,
        broker.as_str(),
        MOST_ROWS,
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(RelayFigures {
        waiting: row.waiting,
        oldest_seconds: row.oldest_seconds,
        bulk_changes: row.bulk_changes,
        poison: poison::count(connection, broker).await?,
    })
}

/// All brokerages with rows that wait or were set aside.
pub async fn relay_troubles(connection: &mut PgConnection) -> sqlx::Result<Vec<RelayTrouble>> {
    sqlx::query_as!(
        RelayTrouble,
        r#"with oldest as (
             select broker_id, created_at from porchlight.outbox order by id, line limit $1),
         all_rows as (
             select broker_id, extract(epoch from clock_timestamp() - created_at)::float8 as seconds,
                 0 as poison from oldest
             union all
             select broker_id, 0, 1 from porchlight.poison)
         select broker_id as broker, max(seconds) as "oldest_seconds!", sum(poison) as "poison!"
         from all_rows group by broker_id"#,
        MOST_ROWS,
    )
    .fetch_all(connection)
    .await
}
