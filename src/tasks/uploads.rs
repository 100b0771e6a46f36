//! Uploads: files that a user sends, for a worker to read. Only their user can use them, and
//! they go after a day.
//!
//! A file takes room in memory from its first byte on (`arrival`), and a slot of the database when it
//! is whole. Of both a brokerage and a user have a share at most (`shares`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::identity::Caller;
use crate::platform::Dice;
use crate::platform::Pool;
use crate::platform::{BrokerId, UploadId};

mod arrival;
mod pace;
mod shares;

pub use arrival::{Arrival, UploadRules};
pub use pace::Pace;
pub use shares::Full;
use shares::{Limits, Shares};

/// Uploads that one user has at a time.
pub const MOST_UPLOADS: i64 = 20;
/// How long an upload is kept.
pub const KEPT: Duration = Duration::from_hours(24);
/// Uploads that one instance stores at a time: each has a connection to the database, and is in
/// memory twice more meanwhile. Those of one user take turns.
const SLOTS: Limits = Limits {
    user: 1,
    brokerage: 2,
    total: 4,
};
/// How long a whole file waits for a slot.
const SLOT_WAIT: Duration = Duration::from_secs(10);
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
    /// It is larger than this.
    #[error("the upload is larger than {0} bytes")]
    TooLarge(usize),
    /// It came slower than this.
    #[error("the upload is slower than {} bytes a second", .0.bytes_per_second)]
    TooSlow(Pace),
    /// Its end did not come.
    #[error("the upload broke off")]
    BrokenOff,
    /// There is no room for it now.
    #[error("too many uploads arrive")]
    Full(Full),
    /// The user has enough of them, and all are still to be used.
    #[error("a user has {MOST_UPLOADS} uploads at the most")]
    TooMany,
    /// Too many of them are being stored.
    #[error("too many uploads are being stored")]
    Busy,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// An upload that is kept.
#[derive(Clone, Debug)]
pub struct Upload {
    pub id: UploadId,
    pub bytes: usize,
}

/// The uploads of all brokers.
#[derive(Clone, Debug)]
pub struct Uploads {
    pool: Pool,
    dice: Dice,
    rules: UploadRules,
    room: Arc<Shares>,
    slots: Arc<Shares>,
}

impl Uploads {
    /// A way to the uploads.
    #[must_use]
    pub fn new(pool: Pool, dice: Dice, rules: UploadRules) -> Self {
        Self {
            pool,
            dice,
            rules,
            room: Shares::new(rules.room()),
            slots: Shares::new(SLOTS),
        }
    }

    /// Memory that files on their way in have.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.room.taken().saturating_mul(arrival::UNIT_BYTES)
    }

    /// Takes a file of the caller's in, keeps it, and names it. Whoever goes away meanwhile leaves
    /// nothing behind.
    pub async fn receive<S, E>(
        &self,
        caller: &Caller,
        arrival: Arrival<S>,
    ) -> Result<Upload, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let arrived = self.arrive(caller, arrival).await?;
        let slot = timeout(SLOT_WAIT, self.slots.take(caller)).await;
        let _slot = slot.map_err(|_| UploadError::Busy)?;
        let id = self.keep(caller, &arrived.content).await?;
        let bytes = arrived.content.len();
        Ok(Upload { id, bytes })
    }

    async fn keep(&self, caller: &Caller, content: &[u8]) -> Result<UploadId, UploadError> {
        let id = self.dice.tag(ID_LEN);
        let id: UploadId = id.parse().expect("a tag is a name");
        let mut transaction = self.pool.begin().await?;
        take_turn(&mut transaction, caller).await?;
        make_room(&mut transaction, caller).await?;
        if !insert(&mut transaction, (caller, &id), content).await? {
            return Err(UploadError::TooMany);
        }
        transaction.commit().await?;
        Ok(id)
    }

    /// Whether there is such an upload of the caller's.
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
        "select pg_advisory_xact_lock(hashtextextended($2, hashtextextended($1, 0))) as taken",
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
