//! Idempotency keys: a request with the same key and body gets the first answer again.
//!
//! A key belongs to one caller and one operation. Each part of it has its own column, so that no
//! two keys have the same text.
//!
//! A write calls [`claim_key`] at the beginning of its transaction and [`store_answer`] at the end.
//! A second write with the key waits for that transaction, and then gets the stored answer. A write
//! that fails leaves no key behind. The writer of events does the same for a group of requests.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::log::event::Epoch;
use crate::platform::{BrokerId, Principal, UserId};

pub const REMEMBERED_HOURS: i32 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    PublishEvents,
    PostNotification,
    ReadNotification,
    ReadAllNotifications,
    CreateRecord,
    PatchRecord,
    ArchiveRecord,
    RestoreRecord,
    DeleteRecord,
    AcquireLock,
    RenewLock,
    RequestLock,
    TakeOverLock,
    ReleaseLock,
    CreateTask,
    CancelTask,
    RetryTask,
    StoreUpload,
}

impl Operation {
    /// The operation's text in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublishEvents => "POST /events",
            Self::PostNotification => "POST /notifications",
            Self::ReadNotification => "POST /notifications/{id}/read",
            Self::ReadAllNotifications => "POST /notifications/read-all",
            Self::CreateRecord => "POST /records/{module}",
            Self::PatchRecord => "PATCH /records/{module}/{id}",
            Self::ArchiveRecord => "POST /records/{module}/{id}/archive",
            Self::RestoreRecord => "POST /records/{module}/{id}/restore",
            Self::DeleteRecord => "DELETE /records/{module}/{id}",
            Self::AcquireLock => "POST /locks",
            Self::RenewLock => "POST /locks/{module}/{id}/renew",
            Self::RequestLock => "POST /locks/{module}/{id}/request",
            Self::TakeOverLock => "POST /locks/{module}/{id}/takeover",
            Self::ReleaseLock => "DELETE /locks/{module}/{id}",
            Self::CreateTask => "POST /tasks",
            Self::CancelTask => "POST /tasks/{id}/cancel",
            Self::RetryTask => "POST /tasks/{id}/retry",
            Self::StoreUpload => "POST /uploads",
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

impl IdempotencyKey {
    /// The key of a request with this body.
    #[must_use]
    pub fn new(id: IdempotencyKeyId, body: &[u8]) -> Self {
        let body_hash = Sha256::digest(body).to_vec();
        Self { id, body_hash }
    }

    /// The key of a request for what `target` names. It has no NUL, so no other request has this hash.
    #[must_use]
    pub fn for_target(id: IdempotencyKeyId, target: &str, body: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix(target)
            .chain_update([0])
            .chain_update(body);
        let body_hash = hash.finalize().to_vec();
        Self { id, body_hash }
    }
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    pub answer: T,
    /// An earlier request with the same key was answered like this.
    pub is_repeat: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// An earlier request used the key with another body.
    #[error("this idempotency key was used with another body")]
    Reused,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Claims the key of a write for this transaction, if it has one. Returns the stored answer if an earlier
/// write has used the key: then nothing is to be done.
pub async fn claim_key<T: DeserializeOwned>(
    connection: &mut PgConnection,
    key: Option<&IdempotencyKey>,
) -> Result<Option<Answered<T>>, KeyError> {
    let Some(key) = key else { return Ok(None) };
    if claim(connection, &[key]).await? == [true] {
        return Ok(None);
    }
    let found = find_answer(connection, Some(key)).await?;
    found.map_or(Err(sqlx::Error::RowNotFound.into()), |found| {
        Ok(Some(found))
    })
}

/// The stored answer of an earlier write with this key.
pub async fn find_answer<T: DeserializeOwned>(
    connection: &mut PgConnection,
    key: Option<&IdempotencyKey>,
) -> Result<Option<Answered<T>>, KeyError> {
    let Some(key) = key else { return Ok(None) };
    let id = &key.id;
    let row = sqlx::query!(
        r#"select body_hash, answer::text as "answer!" from porchlight.idempotency_keys
           where broker_id = $1 and principal = $2 and user_id = $3 and operation = $4 and key = $5
               and answer is not null and created_at >= now() - make_interval(hours => $6)"#,
        id.broker.as_str(),
        id.principal.as_str(),
        id.user.as_str(),
        id.operation.as_str(),
        id.name,
        REMEMBERED_HOURS,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.body_hash != key.body_hash {
        return Err(KeyError::Reused);
    }
    let answer = serde_json::from_str(&row.answer).map_err(|e| sqlx::Error::Decode(e.into()))?;
    Ok(Some(Answered {
        answer,
        is_repeat: true,
    }))
}

/// Stores the answer to a write in the transaction that claimed its key, if it has one.
pub async fn store_answer<T: Serialize>(
    connection: &mut PgConnection,
    key: Option<&IdempotencyKey>,
    answer: T,
) -> sqlx::Result<Answered<T>> {
    if let Some(IdempotencyKey { id, .. }) = key {
        let json = serde_json::to_string(&answer).map_err(|e| sqlx::Error::Encode(e.into()))?;
        sqlx::query!(
            "update porchlight.idempotency_keys set answer = $6::text::json
             where broker_id = $1 and principal = $2 and user_id = $3 and operation = $4 and key = $5",
            id.broker.as_str(),
            id.principal.as_str(),
            id.user.as_str(),
            id.operation.as_str(),
            id.name,
            json,
        )
        .execute(connection)
        .await?;
    }
    Ok(Answered {
        answer,
        is_repeat: false,
    })
}

/// The stored answer to the key of a publisher that was used before.
#[derive(Debug)]
pub struct StoredAnswer {
    /// SHA-256 of the first request.
    pub body_hash: Vec<u8>,
    pub epoch: Epoch,
    pub first: i64,
    pub count: i64,
}

/// The answer to a claimed key of a publisher.
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
/// Waits when another transaction has claimed one of them and has not ended. The answer of a key that has expired
/// stays until the new one is stored: the count of keys does not change, and its row is not locked this early.
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

/// The answer to the key of a publisher that was not free.
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

/// Stores the answers to claimed keys of publishers, in the transaction that claimed them.
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
