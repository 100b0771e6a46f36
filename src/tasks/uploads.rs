//! Uploads: files that a user sends and a worker reads. Only their user can use them. They are
//! removed after a day.
//!
//! A file takes memory from its first byte on (`receive`), and a database slot when it is complete.
//! A user and a brokerage can take a share of both at most (`shares`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, KeyError, claim_key, store_answer};
use crate::platform::Dice;
use crate::platform::Permits;
use crate::platform::Pool;
use crate::platform::{BrokerId, QuotaExceeded, UploadId};

mod pace;
mod receive;
mod shares;

pub use pace::Pace;
pub use receive::{IncomingUpload, UploadRules};
pub use shares::UploadLimit;
use shares::{ShareLimits, Shares};

/// An upload of which no import was begun for so long makes room for another one of its user. A page needs it
/// meanwhile, to ask for the mapping of its columns.
pub const UNUSED_AFTER: Duration = Duration::from_mins(15);
/// How long an upload is stored.
const RETENTION: Duration = Duration::from_hours(24);
/// Uploads that one instance stores at a time. Each uses a database connection, and twice its size
/// in memory. Those of one user are stored one after the other.
const SLOTS: ShareLimits = ShareLimits {
    user: 1,
    brokerage: 2,
    total: 4,
};
/// How long a complete file waits for a slot.
const SLOT_WAIT: Duration = Duration::from_secs(10);
/// Characters of an upload's id.
const ID_LEN: usize = 20;
/// Uploads that one statement removes.
const STEP: i64 = 100;

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the upload is empty")]
    Empty,
    #[error("the upload is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the upload is slower than {} bytes a second", .0.bytes_per_second)]
    TooSlow(Pace),
    /// The connection ended before the file.
    #[error("the upload broke off")]
    BrokenOff,
    /// This limit is reached.
    #[error("too many uploads arrive")]
    Full(UploadLimit),
    /// All uploads of the user are still needed.
    #[error("a user has {0} uploads at the most")]
    TooMany(u32),
    #[error(transparent)]
    Quota(QuotaExceeded),
    #[error("this idempotency key was used with another file")]
    KeyReused,
    #[error("too many uploads are being stored")]
    Busy,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for UploadError {
    fn from(error: sqlx::Error) -> Self {
        QuotaExceeded::of(&error).map_or_else(|| Self::Database(error), Self::Quota)
    }
}

impl From<KeyError> for UploadError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::Database(error) => error.into(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    pub id: UploadId,
    pub bytes: usize,
}

/// The uploads of all brokerages.
#[derive(Clone, Debug)]
pub struct Uploads {
    pool: Pool,
    dice: Dice,
    rules: UploadRules,
    memory: Arc<Shares>,
    slots: Arc<Shares>,
}

impl Uploads {
    #[must_use]
    pub fn new(pool: Pool, dice: Dice, rules: UploadRules) -> Self {
        Self {
            pool,
            dice,
            rules,
            memory: Shares::new(rules.memory()),
            slots: Shares::new(SLOTS),
        }
    }

    /// The same uploads. Metrics show how many are being stored.
    #[must_use]
    pub fn watched_by(self, permits: &Permits) -> Self {
        self.slots.watched_by("upload_slots", permits);
        self
    }

    /// What [`Self::memory_bytes`] can be at most.
    #[must_use]
    pub fn most_memory_bytes(&self) -> usize {
        self.memory.most().saturating_mul(receive::UNIT_BYTES)
    }

    /// The memory of files that are being received.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.taken().saturating_mul(receive::UNIT_BYTES)
    }

    /// Receives and stores a file of the caller's. If the caller goes away before the end, nothing is
    /// stored.
    pub async fn receive<S, E>(
        &self,
        caller: &Caller,
        mut upload: IncomingUpload<S>,
    ) -> Result<Answered<Upload>, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let key = upload.key.take();
        let received = self.read_body(caller, upload).await?;
        let slot = timeout(SLOT_WAIT, self.slots.take(caller)).await;
        let _slot = slot.map_err(|_| UploadError::Busy)?;
        let key = key.map(|id| IdempotencyKey::new(id, &received.content));
        self.store(caller, &received.content, key.as_ref()).await
    }

    async fn store(
        &self,
        caller: &Caller,
        content: &[u8],
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Upload>, UploadError> {
        let id = self.dice.tag(ID_LEN);
        let id: UploadId = id.parse().expect("a tag is a valid id");
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        lock_user(&mut transaction, caller).await?;
        let most = self.rules.most_per_user;
        remove_one_if_full(&mut transaction, caller, most).await?;
        if !insert(&mut transaction, caller, &id, content, most).await? {
            return Err(UploadError::TooMany(most));
        }
        let bytes = content.len();
        let answered = store_answer(&mut transaction, key, Upload { id, bytes }).await?;
        transaction.commit().await?;
        Ok(answered)
    }

    /// Whether the caller has this upload.
    pub async fn has(&self, caller: &Caller, id: &UploadId) -> Result<bool, UploadError> {
        let found = sqlx::query_scalar!(
            r#"select exists (select from porchlight.uploads
               where broker_id = $1 and id = $2 and user_id = $3) as "found!""#,
            caller.broker.as_str(),
            id.as_str(),
            caller.user.as_str(),
        );
        let mut connection = self.pool.acquire().await?;
        Ok(found.fetch_one(&mut *connection).await?)
    }

    /// The content of an upload of the caller's.
    pub async fn read(
        &self,
        caller: &Caller,
        id: &UploadId,
    ) -> Result<Option<Vec<u8>>, UploadError> {
        let content = sqlx::query_scalar!(
            "select content from porchlight.uploads
             where broker_id = $1 and id = $2 and user_id = $3",
            caller.broker.as_str(),
            id.as_str(),
            caller.user.as_str(),
        );
        let mut connection = self.pool.acquire().await?;
        Ok(content.fetch_optional(&mut *connection).await?)
    }

    pub async fn remove(&self, broker: &BrokerId, id: &UploadId) -> Result<(), UploadError> {
        let mut connection = self.pool.acquire().await?;
        sqlx::query!(
            "delete from porchlight.uploads where broker_id = $1 and id = $2",
            broker.as_str(),
            id.as_str(),
        )
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}

/// Removes uploads that are older than the retention time, and returns their number.
pub async fn remove_old(pool: &Pool) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let step = sqlx::query!(
            "delete from porchlight.uploads where (broker_id, id) in (
                 select broker_id, id from porchlight.uploads
                 where created_at < now() - make_interval(secs => $1)
                 limit $2 for update skip locked)",
            RETENTION.as_secs_f64(),
            STEP,
        )
        .execute(&mut *connection)
        .await?;
        removed += step.rows_affected();
        if step.rows_affected() == 0 {
            return Ok(removed);
        }
    }
}

/// One transaction at a time stores uploads of a user, so that they can be counted.
async fn lock_user(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($2, hashtextextended($1, 0))) as taken",
        caller.broker.as_str(),
        caller.user.as_str(),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// If the user has as many uploads as allowed, removes the oldest one whose tasks have all ended, or that is
/// unused. An upload whose import failed or was refused can be imported again, but it does not block a new file.
async fn remove_one_if_full(
    connection: &mut PgConnection,
    caller: &Caller,
    most: u32,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from porchlight.uploads where (broker_id, id) = (
             select u.broker_id, u.id from porchlight.uploads u
             where u.broker_id = $1 and u.user_id = $2 and (
                 select coalesce(bool_and(t.ended_at is not null),
                     u.created_at < now() - make_interval(secs => $4))
                 from porchlight.tasks t
                 where t.broker_id = u.broker_id and t.user_id = u.user_id
                     and t.created_at >= u.created_at and strpos(t.params::text, u.id) > 0)
             order by u.created_at limit 1)
         and (select count(*) from porchlight.uploads
              where broker_id = $1 and user_id = $2) >= $3",
        caller.broker.as_str(),
        caller.user.as_str(),
        i64::from(most),
        UNUSED_AFTER.as_secs_f64(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether the upload was inserted. It is not when the user has too many.
async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &UploadId,
    content: &[u8],
    most: u32,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into porchlight.uploads (broker_id, id, user_id, content)
         select $1, $2, $3, $4
         where (select count(*) from porchlight.uploads
                where broker_id = $1 and user_id = $3) < $5",
        caller.broker.as_str(),
        id.as_str(),
        caller.user.as_str(),
        content,
        i64::from(most),
    );
    Ok(inserted.execute(connection).await?.rows_affected() == 1)
}
