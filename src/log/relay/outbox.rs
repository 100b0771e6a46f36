//! The SQL of the outbox.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgConnection;

use super::batch::Poison;

/// Held by the instance that relays.
const ADVISORY_LOCK: i64 = 0x706f_7263_6802;
/// Rows of poison that are kept. The oldest are deleted first.
const MOST_POISON: i64 = 10_000;

/// A row of the outbox, not validated.
#[derive(Debug, Default, Serialize)]
pub(super) struct OutboxRow {
    pub(super) id: i64,
    /// Its position among the rows of one bulk change.
    pub(super) line: i32,
    pub(super) broker_id: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) module: Option<String>,
    pub(super) record_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) version: Option<i64>,
    pub(super) data: Option<String>,
    pub(super) changes: Option<String>,
    pub(super) private: Option<String>,
    pub(super) owner_id: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) is_new_owner: bool,
    pub(super) is_truncated: bool,
    pub(super) failure: Option<String>,
    /// Poison is kept without it.
    #[serde(skip)]
    pub(super) traceparent: Option<String>,
}

/// Where a row is in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowPlace {
    id: i64,
    line: i32,
}

impl RowPlace {
    /// Before all rows.
    pub(super) const START: Self = Self {
        id: i64::MIN,
        line: i32::MIN,
    };
}

/// A row, and whose it is.
#[derive(Debug)]
pub(super) struct BrokerRow {
    pub(super) broker_id: Option<String>,
    pub(super) id: i64,
    pub(super) line: i32,
}

impl BrokerRow {
    pub(super) fn place(&self) -> RowPlace {
        RowPlace {
            id: self.id,
            line: self.line,
        }
    }
}

impl OutboxRow {
    pub(super) fn place(&self) -> RowPlace {
        RowPlace {
            id: self.id,
            line: self.line,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RowSelection<'a> {
    of_all: bool,
    /// If not `of_all`: the rows of this brokerage, or those without one.
    broker: Option<&'a str>,
    limit: i64,
}

impl<'a> RowSelection<'a> {
    pub(super) fn all(limit: i64) -> Self {
        Self {
            of_all: true,
            broker: None,
            limit,
        }
    }

    pub(super) fn of(broker: Option<&'a str>, limit: i64) -> Self {
        Self {
            of_all: false,
            broker,
            limit,
        }
    }
}

pub(super) struct OutboxState {
    /// There are rows.
    pub(super) is_waiting: bool,
    /// The first row that is a bulk change: it stands for a statement that changed many rows.
    pub(super) bulk_change: Option<i64>,
    /// Changes were lost, and clients do not know it yet.
    pub(super) is_lost: bool,
}

pub(super) async fn state(connection: &mut PgConnection) -> sqlx::Result<OutboxState> {
    sqlx::query_as!(
        OutboxState,
        r#"select porchlight.is_anything_waiting() as "is_waiting!",
               porchlight.first_bulk_change() as bulk_change,
               (select s.is_called and s.last_value > t.up_to
                from porchlight.lost_changes s, porchlight.told_losses t) as "is_lost!""#
    )
    .fetch_one(connection)
    .await
}

/// What a look at the outbox found.
pub(super) enum Sighting {
    Rows,
    Empty,
    /// Another instance looks.
    OtherInstance,
}

/// Looks every `every` until there are rows or `most` has passed.
pub(super) async fn look(
    connection: &mut PgConnection,
    most: Duration,
    every: Duration,
    is_expecting: bool,
) -> sqlx::Result<Sighting> {
    let found = sqlx::query_scalar!(
        "select porchlight.wait_for_outbox($1, $2, $3)",
        ms(most),
        ms(every),
        is_expecting,
    );
    Ok(match found.fetch_one(connection).await? {
        Some(true) => Sighting::Rows,
        Some(false) => Sighting::Empty,
        None => Sighting::OtherInstance,
    })
}

fn ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Renews the triggers of watched tables whose columns have changed.
pub(super) async fn renew_watches(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select porchlight.renew_watches()")
        .execute(connection)
        .await
        .map(drop)
}

/// The rows after a place, up to the first bulk change, in order.
pub(super) async fn rows_after(
    connection: &mut PgConnection,
    after: RowPlace,
    limit: i64,
) -> sqlx::Result<Vec<BrokerRow>> {
    sqlx::query_as!(
        BrokerRow,
        "select broker_id, id, line from porchlight.outbox
         where (id, line) > ($1, $2)
             and id < coalesce((select porchlight.first_bulk_change()), 9223372036854775807)
         order by id, line limit $3",
        after.id,
        after.line,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Whether this instance relays, to the end of the transaction.
///
/// The transaction waits only briefly for a locked log. It does not use a plan that reads the
/// whole outbox, which Postgres may have made when the outbox was short.
pub(super) async fn is_mine(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"select set_config('lock_timeout', '200ms', true) as patience,
               set_config('enable_seqscan', 'off', true) as seqscan,
               pg_try_advisory_xact_lock($1) as "is_mine!""#,
        ADVISORY_LOCK
    );
    Ok(row.fetch_one(connection).await?.is_mine)
}

/// Replaces a bulk change by its rows.
pub(super) async fn unpack(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    allow_much_time(connection).await?;
    sqlx::query!("select porchlight.unpack_bulk_change($1)", id)
        .fetch_one(connection)
        .await
        .map(drop)
}

/// Sets a bulk change aside, and counts it as lost.
pub(super) async fn give_up_bulk_change(
    connection: &mut PgConnection,
    id: i64,
    reason: &str,
) -> sqlx::Result<()> {
    allow_much_time(connection).await?;
    sqlx::query!("select porchlight.give_up_bulk_change($1, $2)", id, reason)
        .fetch_one(connection)
        .await
        .map(drop)
}

/// The time depends on the number of rows, so that it needs a longer limit than other statements:
/// `Limit::LONG_STATEMENT` is longer still.
async fn allow_much_time(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set local statement_timeout = '10min'")
        .execute(connection)
        .await
        .map(drop)
}

/// Gives all logs new epochs if changes were lost, and returns how many.
pub(super) async fn reset_after_loss(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select porchlight.reset_after_loss() as "lost!""#)
        .fetch_one(connection)
        .await
}

/// Deletes and returns rows in order, up to the first bulk change.
pub(super) async fn take(
    connection: &mut PgConnection,
    selection: RowSelection<'_>,
) -> sqlx::Result<Vec<OutboxRow>> {
    let mut rows = sqlx::query_as!(
        OutboxRow,
        "delete from porchlight.outbox where ctid = any(array(
               select ctid from porchlight.outbox
               where ($1 or broker_id is not distinct from $2)
                   and id < coalesce((select porchlight.first_bulk_change()), 9223372036854775807)
               order by id, line limit $3 for update skip locked))
           returning id, line, broker_id, audience, type, module, record_id, user_id, version, data,
               changes, private, owner_id, previous, is_new_owner, is_truncated, failure,
               traceparent",
        selection.of_all,
        selection.broker,
        selection.limit,
    )
    .fetch_all(connection)
    .await?;
    rows.sort_by_key(|row| (row.id, row.line));
    Ok(rows)
}

/// Stores rows that cannot become events, with the reason, and deletes the oldest of too many.
pub(super) async fn set_aside(
    connection: &mut PgConnection,
    poison: &[Poison],
) -> sqlx::Result<()> {
    if poison.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = poison.iter().map(|p| p.id).collect();
    let rows: Vec<_> = poison.iter().map(|p| p.row.as_str()).collect();
    let reasons: Vec<_> = poison.iter().map(|p| p.reason.as_str()).collect();
    sqlx::query!(
        "insert into porchlight.poison (id, outbox_row, reason)
         select id, whole::json, reason
         from unnest($1::bigint[], $2::text[], $3::text[]) as p(id, whole, reason)",
        &ids,
        &rows as &[&str],
        &reasons as &[&str],
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from porchlight.poison where id <= (
             select id from porchlight.poison order by id desc offset $1 limit 1)",
        MOST_POISON,
    )
    .execute(connection)
    .await
    .map(drop)
}
