//! Uploads: files that a user sends, for a worker to read. Only their user can use them, and
//! they go after a day.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Dice;
use crate::database::Pool;
use crate::identity::Caller;
use crate::ids::{BrokerId, UploadId};

/// Uploads that one user has at a time.
pub const MOST_UPLOADS: i64 = 20;
/// How long an upload is kept.
pub const KEPT: Duration = Duration::from_hours(24);
/// Uploads that one instance takes at a time: each is in memory as a whole.
const MOST_AT_ONCE: usize = 8;
/// Letters of an upload's name.
const ID_LEN: usize = 20;
/// How many uploads one statement removes.
const STEP: i64 = 100;

/// Why an upload is not taken or found.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is nothing in it.
    #[error("the upload is empty")]
    Empty,
    /// The user has enough of them, and all are still to be used.
    #[error("a user has {MOST_UPLOADS} uploads at the most")]
    TooMany,
    /// Too many of them come in just now.
    #[error("too many uploads come in")]
    Busy,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The uploads of all brokers.
#[derive(Clone, Debug)]
pub struct Uploads {
    pool: Pool,
    dice: Dice,
    slots: Arc<Semaphore>,
}

/// The right to take one upload in.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Uploads {
    /// A way to the uploads.
    #[must_use]
    pub fn new(pool: Pool, dice: Dice) -> Self {
        let slots = Arc::new(Semaphore::new(MOST_AT_ONCE));
        Self { pool, dice, slots }
    }

    /// A slot, to be had before the body is read and held until it is kept.
    pub fn slot(&self) -> Result<Slot, UploadError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.map(Slot).map_err(|_| UploadError::Busy)
    }

    /// Keeps an upload of the caller's, and names it.
    pub async fn keep(
        &self,
        caller: &Caller,
        (content, _slot): (Bytes, Slot),
    ) -> Result<UploadId, UploadError> {
        if content.is_empty() {
            return Err(UploadError::Empty);
        }
        let id = self.dice.tag(ID_LEN);
        let id: UploadId = id.parse().expect("a tag is a name");
        let mut transaction = self.pool.begin().await?;
        take_turn(&mut transaction, caller).await?;
        make_room(&mut transaction, caller).await?;
        if !insert(&mut transaction, (caller, &id), &content).await? {
            return Err(UploadError::TooMany);
        }
        transaction.commit().await?;
        Ok(id)
    }

    /// What is in an upload, if it is the caller's.
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

    /// Removes an upload that has been used.
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

/// Removes what came longer ago than [`KEPT`]; says how many went.
pub async fn remove_old(pool: &Pool) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut removed = 0;
    loop {
        let step = sqlx::query!(
            "delete from porchlight.uploads where (broker_id, id) in (
                 select broker_id, id from porchlight.uploads
                 where created_at < now() - make_interval(secs => $1)
                 limit $2 for update skip locked)",
            KEPT.as_secs_f64(),
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

/// Uploads of one user take turns, so that counting them counts all.
async fn take_turn(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0)) as taken",
        caller.broker.as_str(),
        caller.user.as_str(),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Where there is no room, the oldest of those gives way whose tasks have all ended: what was
/// tried in vain may be tried again, but keeps nobody from sending a better file.
async fn make_room(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from porchlight.uploads where (broker_id, id) = (
             select u.broker_id, u.id from porchlight.uploads u
             where u.broker_id = $1 and u.user_id = $2 and (
                 select bool_and(t.ended_at is not null) from porchlight.tasks t
                 where t.broker_id = u.broker_id and t.user_id = u.user_id
                     and t.created_at >= u.created_at and strpos(t.params::text, u.id) > 0)
             order by u.created_at limit 1)
         and (select count(*) from porchlight.uploads
              where broker_id = $1 and user_id = $2) >= $3",
        caller.broker.as_str(),
        caller.user.as_str(),
        MOST_UPLOADS,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether there was room for it.
async fn insert(
    connection: &mut PgConnection,
    (caller, id): (&Caller, &UploadId),
    content: &[u8],
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
        MOST_UPLOADS,
    );
    Ok(inserted.execute(connection).await?.rows_affected() == 1)
}
