//! Publishers' keys: the same key and body gets the first answer again.

use sqlx::PgConnection;

use super::Appended;
use crate::event::Epoch;
use crate::ids::BrokerId;

/// How long a key is remembered.
pub const REMEMBERED_HOURS: i32 = 24;

/// A publisher's key and the fingerprint of what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Whose key.
    pub broker: BrokerId,
    /// What the publisher calls it.
    pub name: String,
    /// SHA-256 of the request.
    pub body_hash: Vec<u8>,
}

/// What a key that was taken before stands for.
#[derive(Debug)]
pub struct Taken {
    /// SHA-256 of the first request.
    pub body_hash: Vec<u8>,
    /// Its answer.
    pub epoch: Epoch,
    /// Its answer.
    pub first: i64,
    /// Its answer.
    pub count: i64,
}

/// Claims keys (sorted, distinct) for this transaction and says which were free.
///
/// Waits for a transaction that is about to take the same key: its outcome decides.
pub async fn claim(connection: &mut PgConnection, keys: &[&Key]) -> sqlx::Result<Vec<bool>> {
    let brokers: Vec<_> = keys.iter().map(|k| k.broker.as_str()).collect();
    let names: Vec<_> = keys.iter().map(|k| k.name.as_str()).collect();
    let hashes: Vec<_> = keys.iter().map(|k| k.body_hash.clone()).collect();
    let claimed = sqlx::query!(
        "insert into porchlight.idempotency_keys as k (broker_id, key, body_hash, created_at)
         select broker_id, key, body_hash, now()
         from unnest($1::text[], $2::text[], $3::bytea[]) as k(broker_id, key, body_hash)
         order by broker_id, key
         on conflict (broker_id, key) do update
             set body_hash = excluded.body_hash, created_at = excluded.created_at
             where k.created_at < now() - make_interval(hours => $4)
         returning broker_id, key",
        &brokers as &[&str],
        &names as &[&str],
        &hashes,
        REMEMBERED_HOURS,
    )
    .fetch_all(connection)
    .await?;
    let is_ours = |k: &&Key| {
        claimed
            .iter()
            .any(|c| c.broker_id == k.broker.as_str() && c.key == k.name)
    };
    Ok(keys.iter().map(is_ours).collect())
}

/// What a key stands for that could not be claimed.
pub async fn taken(connection: &mut PgConnection, key: &Key) -> sqlx::Result<Option<Taken>> {
    let row = sqlx::query!(
        "select body_hash, epoch, first_position, event_count from porchlight.idempotency_keys
         where broker_id = $1 and key = $2",
        key.broker.as_str(),
        key.name,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Taken {
        body_hash: row.body_hash,
        epoch: Epoch::stored(&row.epoch),
        first: row.first_position,
        count: row.event_count,
    }))
}

/// Keeps the answer to a claimed key, in the transaction that claimed it.
pub async fn keep(connection: &mut PgConnection, answers: &[(&Key, Appended)]) -> sqlx::Result<()> {
    let brokers: Vec<_> = answers.iter().map(|(k, _)| k.broker.as_str()).collect();
    let names: Vec<_> = answers.iter().map(|(k, _)| k.name.as_str()).collect();
    let epochs: Vec<_> = answers.iter().map(|(_, a)| a.epoch.as_str()).collect();
    let firsts: Vec<_> = answers.iter().map(|(_, a)| a.first).collect();
    let counts: Vec<_> = answers.iter().map(|(_, a)| a.count).collect();
    sqlx::query!(
        "update porchlight.idempotency_keys k
         set epoch = a.epoch, first_position = a.first, event_count = a.n
         from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
             as a(broker_id, key, epoch, first, n)
         where k.broker_id = a.broker_id and k.key = a.key",
        &brokers as &[&str],
        &names as &[&str],
        &epochs as &[&str],
        &firsts,
        &counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets keys that are past their time, a few at once; says how many.
pub async fn forget_old(connection: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from porchlight.idempotency_keys where (broker_id, key) in (
             select broker_id, key from porchlight.idempotency_keys
             where created_at < now() - make_interval(hours => $1) limit $2)",
        REMEMBERED_HOURS,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
