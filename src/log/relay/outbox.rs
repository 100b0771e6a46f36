//! The SQL of the outbox.

use serde::Serialize;
use sqlx::PgConnection;

use super::batch::Poison;

/// One instance at a time relays, over all instances.
const ADVISORY_LOCK: i64 = 0x706f_7263_6802;
/// What is kept of what could not be told.
const MOST_POISON: i64 = 10_000;

/// A row of the outbox. Nothing of it was checked.
#[derive(Debug, Default, Serialize)]
pub(super) struct OutboxRow {
    pub(super) id: i64,
    /// Its place among the rows of one bundle.
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
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    of_all: bool,
    /// Otherwise those of this broker, or of none.
    broker: Option<&'a str>,
    limit: i64,
}

impl<'a> Choice<'a> {
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

/// What a look at the outbox found.
pub(super) struct OutboxState {
    /// There is something to do.
    pub(super) is_waiting: bool,
    /// Some of it is a bundle: what one statement did to many rows.
    pub(super) is_bundled: bool,
    /// Some table of the CRM tells what happens to it, so that there may be more at any moment.
    /// Who writes to our own tables of records rings the bell.
    pub(super) is_watching: bool,
}

/// Whether there is anything to do.
pub(super) async fn look(connection: &mut PgConnection) -> sqlx::Result<OutboxState> {
    sqlx::query_as!(
        OutboxState,
        r#"select porchlight.is_anything_waiting() as "is_waiting!",
               porchlight.first_bundle() is not null as "is_bundled!",
               exists (select from porchlight.watches w where not exists (
                   select from porchlight.record_tables t where t.records = w.watched))
                   as "is_watching!""#
    )
    .fetch_one(connection)
    .await
}

/// Makes ready what watched tables tell, where they have other columns than when that was done.
pub(super) async fn renew_watches(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select porchlight.renew_watches()")
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn brokers(
    connection: &mut PgConnection,
    limit: i64,
) -> sqlx::Result<Vec<Option<String>>> {
    sqlx::query_scalar!(
        "select broker_id from porchlight.outbox group by broker_id order by min(id) limit $1",
        limit
    )
    .fetch_all(connection)
    .await
}

/// Whether no other instance relays, to the end of the transaction.
///
/// The transaction does not wait for a log that somebody holds, and does not keep a plan that
/// reads all of the outbox, made when that was short.
pub(super) async fn is_mine(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"select set_config('lock_timeout', '200ms', true) as patience,
               set_config('enable_seqscan', 'off', true) as seqscan,
               pg_try_advisory_xact_lock($1) as "is_mine!""#,
        ADVISORY_LOCK
    );
    Ok(row.fetch_one(connection).await?.is_mine)
}

/// Puts the rows of the oldest bundle in its place.
///
/// It takes as long as there are rows: more than a statement is given otherwise.
pub(super) async fn unpack(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set local statement_timeout = '10min'")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("select porchlight.unpack()")
        .fetch_one(connection)
        .await
        .map(drop)
}

/// Takes rows out, in order, none from behind a bundle.
pub(super) async fn take(
    connection: &mut PgConnection,
    choice: Choice<'_>,
) -> sqlx::Result<Vec<OutboxRow>> {
    let mut rows = sqlx::query_as!(
        OutboxRow,
        "delete from porchlight.outbox where ctid = any(array(
               select ctid from porchlight.outbox
               where ($1 or broker_id is not distinct from $2)
                   and id < coalesce((select porchlight.first_bundle()), 9223372036854775807)
               order by id, line limit $3 for update skip locked))
           returning id, line, broker_id, audience, type, module, record_id, user_id, version, data,
               changes, private, owner_id, previous, is_new_owner, is_truncated, failure",
        choice.of_all,
        choice.broker,
        choice.limit,
    )
    .fetch_all(connection)
    .await?;
    rows.sort_by_key(|row| (row.id, row.line));
    Ok(rows)
}

/// Keeps what cannot be told, with the reason; the oldest of too many go.
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
