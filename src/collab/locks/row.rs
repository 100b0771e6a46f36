//! The row of a lock: reading, locking and writing it.

use std::str::FromStr;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Lock;
use super::holder::LockHolder;
use super::waiting_users::WaitingUsers;
use crate::identity::Caller;
use crate::platform::{BrokerId, RecordPath, UserId};

#[derive(Clone, Copy, Debug)]
pub(super) struct LockKey<'a> {
    pub(super) broker: &'a BrokerId,
    pub(super) record: &'a RecordPath,
}

impl<'a> LockKey<'a> {
    /// The lock on a record of the caller's broker.
    pub(super) fn of(caller: &'a Caller, record: &'a RecordPath) -> Self {
        let broker = &caller.broker;
        Self { broker, record }
    }
}

/// A lock as the table has it at `now`, on the database's clock.
#[derive(Clone, Debug)]
pub(super) struct LockRow {
    pub(super) record: RecordPath,
    pub(super) fence: i64,
    pub(super) holder: Option<LockHolder>,
    pub(super) waiting: WaitingUsers,
    pub(super) now: OffsetDateTime,
}

impl LockRow {
    /// The holder, unless the lease has expired.
    pub(super) fn current_holder(&self) -> Option<&LockHolder> {
        let holder = self.holder.as_ref();
        holder.filter(|holder| holder.locked_until > self.now)
    }

    pub(super) fn lock(&self) -> Option<Lock> {
        self.current_holder().map(|holder| self.lock_of(holder))
    }

    pub(super) fn held_by(&self, user: &UserId) -> Option<&LockHolder> {
        self.current_holder().filter(|holder| holder.user == *user)
    }

    pub(super) fn held_by_other(&self, user: &UserId) -> Option<&LockHolder> {
        self.current_holder().filter(|holder| holder.user != *user)
    }

    pub(super) fn lock_of(&self, holder: &LockHolder) -> Lock {
        Lock {
            module: self.record.module.clone(),
            record_id: self.record.id.clone(),
            holder: holder.holder(),
            fence: self.fence,
            locked_at: holder.locked_at,
            locked_until: holder.locked_until,
            waiting: self.waiting.len(),
        }
    }
}

pub(super) struct StoredLock {
    pub(super) module: String,
    pub(super) record_id: String,
    pub(super) fence: i64,
    pub(super) user_id: Option<String>,
    pub(super) session: Option<String>,
    pub(super) sessions: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) locked_at: Option<OffsetDateTime>,
    pub(super) renewed_at: Option<OffsetDateTime>,
    pub(super) locked_until: Option<OffsetDateTime>,
    pub(super) waiting: String,
    pub(super) now: OffsetDateTime,
}

impl TryFrom<StoredLock> for LockRow {
    type Error = sqlx::Error;
    fn try_from(stored: StoredLock) -> sqlx::Result<Self> {
        let record = RecordPath {
            module: parsed(&stored.module)?,
            id: parsed(&stored.record_id)?,
        };
        let waiting = serde_json::from_str(&stored.waiting).map_err(unreadable)?;
        let (fence, now) = (stored.fence, stored.now);
        Ok(Self {
            record,
            fence,
            holder: stored.holder()?,
            waiting,
            now,
        })
    }
}

impl StoredLock {
    /// A constraint in the database ensures that all of these columns are null, or none.
    fn holder(self) -> sqlx::Result<Option<LockHolder>> {
        let (Some(user), Some(session), Some(sessions)) =
            (self.user_id, self.session, self.sessions)
        else {
            return Ok(None);
        };
        let (Some(locked_at), Some(renewed_at), Some(locked_until)) =
            (self.locked_at, self.renewed_at, self.locked_until)
        else {
            return Ok(None);
        };
        Ok(Some(LockHolder {
            user: parsed(&user)?,
            session: parsed(&session)?,
            sessions: serde_json::from_str(&sessions).map_err(unreadable)?,
            audience: parsed(&self.audience.unwrap_or_default())?,
            locked_at,
            renewed_at,
            locked_until,
        }))
    }
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> sqlx::Result<T> {
    text.parse().map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// Reads a row, with a lock if `$lock` has one. The time is read after the row is locked: in a plain
/// select, Postgres would evaluate it before the wait for the lock.
macro_rules! read_row {
    ($connection:expr, $key:expr, $lock:literal) => {
        sqlx::query_as!(
            StoredLock,
            r#"with mine as materialized (
                   select * from porchlight.locks
                   where broker_id = $1 and module = $2 and record_id = $3 "#
                + $lock
                + r#"
               )
               select module as "module!", record_id as "record_id!",
                   -- A new row continues from the fences of removed ones, and of those that a restore lost.
                   case when fence = 0 then greatest(0, (
                           select floor from porchlight.fence_floors where broker_id = $1),
                           (select fence_floor from porchlight.origin))
                       else fence end as "fence!", user_id,
                   session, sessions::text, audience, locked_at, renewed_at, locked_until,
                   waiting::text as "waiting!", clock_timestamp() as "now!"
               from mine"#,
            $key.broker.as_str(),
            $key.record.module.as_str(),
            $key.record.id.as_str(),
        )
        .fetch_optional($connection)
        .await?
        .map(LockRow::try_from)
        .transpose()
    };
}

/// Reads without waiting for other transactions.
pub(super) async fn read(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    read_row!(connection, key, "")
}

/// Locks the row for a change that leaves the holder and the fence as they are. It does not wait
/// for transactions that have checked the fence.
pub(super) async fn lock_details(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    read_row!(connection, key, "for no key update")
}

/// Prevents grants until the transaction ends. Inserts the row if the record was never locked.
pub(super) async fn lock_shared(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    let row = read_row!(&mut *connection, key, "for key share")?;
    if row.is_some() {
        return Ok(row);
    }
    insert(connection, key).await?;
    read_row!(connection, key, "for key share")
}

/// Locks the row for a change of the holder. It waits for transactions that have checked the fence.
pub(super) async fn lock_exclusive(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    read_row!(connection, key, "for update")
}

/// Like [`lock_exclusive`], and inserts the row if the record was never locked.
pub(super) async fn lock_or_insert(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    if let Some(row) = lock_exclusive(connection, key).await? {
        return Ok(Some(row));
    }
    insert(connection, key).await?;
    lock_exclusive(connection, key).await
}

async fn insert(connection: &mut PgConnection, key: LockKey<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.locks (broker_id, module, record_id) values ($1, $2, $3)
         on conflict do nothing",
        key.broker.as_str(),
        key.record.module.as_str(),
        key.record.id.as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes a row that is locked.
pub(super) async fn write(
    connection: &mut PgConnection,
    broker: &BrokerId,
    row: &LockRow,
) -> sqlx::Result<()> {
    let holder = row.holder.as_ref();
    let sessions = holder.map(|holder| serde_json::to_string(&holder.sessions));
    let sessions = sessions.transpose().map_err(unreadable)?;
    let waiting = serde_json::to_string(&row.waiting).map_err(unreadable)?;
    sqlx::query!(
        "update porchlight.locks
         set fence = $4, user_id = $5, session = $6, sessions = $7::text::jsonb, audience = $8,
             locked_at = $9, renewed_at = $10, locked_until = $11, waiting = $12::text::jsonb,
             free_since = case when $5::text is null then clock_timestamp() end
         where broker_id = $1 and module = $2 and record_id = $3",
        broker.as_str(),
        row.record.module.as_str(),
        row.record.id.as_str(),
        row.fence,
        holder.map(|holder| holder.user.as_str()),
        holder.map(|holder| holder.session.as_str()),
        sessions,
        holder.map(|holder| holder.audience.to_string()),
        holder.map(|holder| holder.locked_at),
        holder.map(|holder| holder.renewed_at),
        holder.map(|holder| holder.locked_until),
        waiting,
    )
    .execute(connection)
    .await
    .map(drop)
}
