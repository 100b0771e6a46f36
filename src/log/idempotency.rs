//! Idempotency keys: a request with the same key and body gets the first answer again.
//!
//! A key belongs to one caller and one operation. Each part of it has its own column, so that no
//! two keys have the same text.

use sqlx::PgConnection;

use crate::log::event::Epoch;
use crate::platform::{BrokerId, Principal, UserId};

pub const REMEMBERED_HOURS: i32 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    PublishEvents,
    PostNotification,
}

impl Operation {
    /// The operation's text in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublishEvents => "POST /events",
            Self::PostNotification => "POST /notifications",
        }
    }
}

/// The parts that make a key unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKeyId {
    pub broker: BrokerId,
    pub principal: Principal,
    pub user: UserId,
    pub operation: Operation,
    /// The caller's name for the request.
    pub name: String,
}

/// A key and the hash of its request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey {
    pub id: IdempotencyKeyId,
    /// SHA-256 of the request.
    pub body_hash: Vec<u8>,
}

/// The stored answer to a key that was used before.
#[derive(Debug)]
pub struct StoredAnswer {
    /// SHA-256 of the first request.
    pub body_hash: Vec<u8>,
    pub epoch: Epoch,
    pub first: i64,
    pub count: i64,
}

/// The answer to a claimed key.
#[derive(Debug)]
pub struct KeyAnswer<'a> {
    pub key: &'a IdempotencyKey,
    pub epoch: &'a Epoch,
    pub first: i64,
    pub count: i64,
}

/// Keys as columns, which `unnest` takes.
struct KeyColumns<'a> {
    brokers: Vec<&'a str>,
    principals: Vec<&'a str>,
    users: Vec<&'a str>,
    operations: Vec<&'a str>,
    names: Vec<&'a str>,
}

impl<'a> KeyColumns<'a> {
    fn of(keys: &[&'a IdempotencyKeyId]) -> Self {
        let column =
            |value: fn(&'a IdempotencyKeyId) -> &'a str| keys.iter().copied().map(value).collect();
        Self {
            brokers: column(|key| key.broker.as_str()),
            principals: column(|key| key.principal.as_str()),
            users: column(|key| key.user.as_str()),
            operations: column(|key| key.operation.as_str()),
            names: column(|key| &key.name),
        }
    }
}

/// Claims keys (sorted, distinct) for this transaction and returns which were free.
///
/// Waits when another transaction has claimed one of them and has not ended.
pub async fn claim(
    connection: &mut PgConnection,
    keys: &[&IdempotencyKey],
) -> sqlx::Result<Vec<bool>> {
    let ids: Vec<_> = keys.iter().map(|key| &key.id).collect();
    let columns = KeyColumns::of(&ids);
    let hashes: Vec<_> = keys.iter().map(|k| k.body_hash.clone()).collect();
    let claimed = sqlx::query!(
        r#"with claimed as (
             insert into porchlight.idempotency_keys as k
                 (broker_id, principal, user_id, operation, key, body_hash, created_at)
             select broker_id, principal, user_id, operation, key, body_hash, now()
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
                 as k(broker_id, principal, user_id, operation, key, body_hash)
             order by broker_id, principal, user_id, operation, key
             on conflict (broker_id, principal, user_id, operation, key) do update
                 set body_hash = excluded.body_hash, created_at = excluded.created_at
                 where k.created_at < now() - make_interval(hours => $7)
             returning broker_id, principal, user_id, operation, key
         )
         select exists (
             select from claimed c
             where c.broker_id = k.broker_id and c.principal = k.principal
                 and c.user_id = k.user_id and c.operation = k.operation and c.key = k.key
         ) as "is_ours!"
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
             with ordinality as k(broker_id, principal, user_id, operation, key, n)
         order by k.n"#,
        &columns.brokers as &[&str],
        &columns.principals as &[&str],
        &columns.users as &[&str],
        &columns.operations as &[&str],
        &columns.names as &[&str],
        &hashes,
        REMEMBERED_HOURS,
    )
    .fetch_all(connection)
    .await?;
    Ok(claimed.into_iter().map(|key| key.is_ours).collect())
}

/// The answer to a key that was not free.
pub async fn taken(
    connection: &mut PgConnection,
    key: &IdempotencyKeyId,
) -> sqlx::Result<Option<StoredAnswer>> {
    let row = sqlx::query!(
        "select body_hash, epoch, first_position, event_count from porchlight.idempotency_keys
         where broker_id = $1 and principal = $2 and user_id = $3 and operation = $4 and key = $5",
        key.broker.as_str(),
        key.principal.as_str(),
        key.user.as_str(),
        key.operation.as_str(),
        key.name,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| StoredAnswer {
        body_hash: row.body_hash,
        epoch: Epoch::stored(&row.epoch),
        first: row.first_position,
        count: row.event_count,
    }))
}

/// Stores the answers to claimed keys, in the transaction that claimed them.
pub async fn keep(connection: &mut PgConnection, answers: &[KeyAnswer<'_>]) -> sqlx::Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = answers.iter().map(|answer| &answer.key.id).collect();
    let columns = KeyColumns::of(&ids);
    let epochs: Vec<_> = answers.iter().map(|a| a.epoch.as_str()).collect();
    let firsts: Vec<_> = answers.iter().map(|a| a.first).collect();
    let counts: Vec<_> = answers.iter().map(|a| a.count).collect();
    sqlx::query!(
        "update porchlight.idempotency_keys k
         set epoch = a.epoch, first_position = a.first, event_count = a.n
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                 $7::bigint[], $8::bigint[])
             as a(broker_id, principal, user_id, operation, key, epoch, first, n)
         where k.broker_id = a.broker_id and k.principal = a.principal and k.user_id = a.user_id
             and k.operation = a.operation and k.key = a.key",
        &columns.brokers as &[&str],
        &columns.principals as &[&str],
        &columns.users as &[&str],
        &columns.operations as &[&str],
        &columns.names as &[&str],
        &epochs as &[&str],
        &firsts,
        &counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes up to `limit` expired keys and returns how many.
pub async fn forget_old(connection: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from porchlight.idempotency_keys
         where (broker_id, principal, user_id, operation, key) in (
             select broker_id, principal, user_id, operation, key
             from porchlight.idempotency_keys
             where created_at < now() - make_interval(hours => $1) limit $2)",
        REMEMBERED_HOURS,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
