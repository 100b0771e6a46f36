//! Rows of the outbox that could not become events: admins look at them, retry and discard them.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::platform::BrokerId;

/// A row that was set aside, without its data. Its fields are as they were written.
#[derive(Debug)]
pub struct PoisonRow {
    pub number: i64,
    pub event_type: Option<String>,
    pub module: Option<String>,
    pub record_id: Option<String>,
    pub user_id: Option<String>,
    pub audience: Option<String>,
    pub reason: String,
    pub set_aside_at: OffsetDateTime,
    /// Whether the change could be described. Otherwise the row has no event.
    pub can_retry: bool,
}

/// How many rows were set aside.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoisonCounts {
    pub of_brokerage: i64,
    /// Those that name no valid brokerage.
    pub without_brokerage: i64,
}

/// The outcome of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoisonRetry {
    /// It is in the outbox again.
    Back,
    /// It has no event.
    Impossible,
    Unknown,
}

/// Rows of a brokerage, from new to old, before a number.
pub async fn list(
    connection: &mut PgConnection,
    broker: &BrokerId,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<PoisonRow>> {
    sqlx::query_as!(
        PoisonRow,
        r#"select number, outbox_row ->> 'type' as event_type, outbox_row ->> 'module' as module,
               outbox_row ->> 'record_id' as record_id, outbox_row ->> 'user_id' as user_id,
               outbox_row ->> 'audience' as audience, reason, set_aside_at,
               outbox_row ->> 'failure' is null as "can_retry!"
           from porchlight.poison
           where broker_id = $1 and ($2::bigint is null or number < $2)
           order by number desc limit $3"#,
        broker.as_str(),
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

pub async fn count(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<PoisonCounts> {
    sqlx::query_as!(
        PoisonCounts,
        r#"select count(*) filter (where broker_id = $1) as "of_brokerage!",
               count(*) filter (where broker_id is null
                   or broker_id !~ '^[A-Za-z0-9_.:-]{1,64}$') as "without_brokerage!"
           from porchlight.poison"#,
        broker.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// Puts a row back, at the end of the outbox.
pub async fn retry(
    connection: &mut PgConnection,
    broker: &BrokerId,
    number: i64,
) -> sqlx::Result<PoisonRetry> {
    let row = sqlx::query!(
        r#"with found as (
             select number, outbox_row from porchlight.poison
             where broker_id = $1 and number = $2 for update),
         gone as (
             delete from porchlight.poison p using found
             where p.broker_id = $1 and p.number = found.number and found.outbox_row ->> 'failure' is null
             returning p.outbox_row),
         back as (
             insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id,
                 version, data, changes, private, owner_id, previous, is_new_owner, is_truncated)
             select r.broker_id, r.audience, r.type, r.module, r.record_id, r.user_id, r.version,
                 r.data, r.changes, r.private, r.owner_id, r.previous,
                 coalesce(r.is_new_owner, false), coalesce(r.is_truncated, false)
             from gone, json_to_record(gone.outbox_row) as r(broker_id text, audience text,
                 type text, module text, record_id text, user_id text, version bigint, data text,
                 changes text, private text, owner_id text, previous text, is_new_owner boolean,
                 is_truncated boolean)
             returning 1)
         select exists (select from found) as "is_known!", exists (select from back) as "is_back!""#,
        broker.as_str(),
        number,
    )
    .fetch_one(connection)
    .await?;
    Ok(match (row.is_known, row.is_back) {
        (_, true) => PoisonRetry::Back,
        (true, false) => PoisonRetry::Impossible,
        (false, false) => PoisonRetry::Unknown,
    })
}

/// Deletes a row, and returns whether it was there.
pub async fn discard(
    connection: &mut PgConnection,
    broker: &BrokerId,
    number: i64,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "delete from porchlight.poison where broker_id = $1 and number = $2",
        broker.as_str(),
        number,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected() > 0)
}
