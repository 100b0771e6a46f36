//! The row of a lock: looked at, taken and written.

use std::str::FromStr;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Lock;
use super::holder::LockHolder;
use super::waiting::Waiting;
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

/// A lock as the table has it, at one moment of the database's clock.
#[derive(Clone, Debug)]
pub(super) struct LockRow {
    pub(super) record: RecordPath,
    pub(super) fence: i64,
    pub(super) held: Option<LockHolder>,
    pub(super) waiting: Waiting,
    pub(super) now: OffsetDateTime,
}

impl LockRow {
    /// Whoever holds it, unless the lease is over.
    pub(super) fn live(&self) -> Option<&LockHolder> {
        self.held
            .as_ref()
            .filter(|held| held.locked_until > self.now)
    }

    /// The lock as everybody is told of it, if it is held.
    pub(super) fn lock(&self) -> Option<Lock> {
        self.live().map(|held| self.shown(held))
    }

    /// The lock if this user holds it.
    pub(super) fn live_of(&self, user: &UserId) -> Option<&LockHolder> {
        self.live().filter(|held| held.user == *user)
    }

    /// The lock if somebody else than this user holds it.
    pub(super) fn live_of_other(&self, user: &UserId) -> Option<&LockHolder> {
        self.live().filter(|held| held.user != *user)
    }

    pub(super) fn shown(&self, held: &LockHolder) -> Lock {
        Lock {
            module: self.record.module.clone(),
            record_id: self.record.id.clone(),
            holder: held.holder(),
            fence: self.fence,
            locked_at: held.locked_at,
            locked_until: held.locked_until,
            waiting: self.waiting.len(),
        }
    }
}

/// A row as it is stored.
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
            held: stored.held()?,
            waiting,
            now,
        })
    }
}

impl StoredLock {
    /// A constraint says that all of it is there, or nothing.
    fn held(self) -> sqlx::Result<Option<LockHolder>> {
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

/// The ways to look at a row differ in whom they wait for. The time is taken once the row
/// is ours: a select list by itself would be evaluated before the wait.
macro_rules! look {
    ($connection:expr, $key:expr, $how:literal) => {
        sqlx::query_as!(
            StoredLock,
            r#"with mine as materialized (
                   select * from porchlight.locks
                   where broker_id = $1 and module = $2 and record_id = $3 "# + $how + r#"
               )
               select module as "module!", record_id as "record_id!", fence as "fence!", user_id,
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

/// Looks without waiting for anyone.
pub(super) async fn peek(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    look!(connection, key, "")
}

/// Takes the row for a change that leaves the holder and the fence as they are. It does not
/// wait for a transaction that has checked the fence.
pub(super) async fn touch(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    look!(connection, key, "for no key update")
}

/// Holds off grants to the end of the transaction, also of a lock that was never taken.
pub(super) async fn share(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    let row = look!(&mut *connection, key, "for key share")?;
    if row.is_some() {
        return Ok(row);
    }
    make(connection, key).await?;
    look!(connection, key, "for key share")
}

/// Takes the row for a change of the holder, which waits for transactions that have
/// checked the fence.
pub(super) async fn take(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    look!(connection, key, "for update")
}

/// The same, with a new row for a record that was never locked.
pub(super) async fn take_or_make(
    connection: &mut PgConnection,
    key: LockKey<'_>,
) -> sqlx::Result<Option<LockRow>> {
    if let Some(row) = take(connection, key).await? {
        return Ok(Some(row));
    }
    make(connection, key).await?;
    take(connection, key).await
}

/// A row for a record that was never locked.
async fn make(connection: &mut PgConnection, key: LockKey<'_>) -> sqlx::Result<()> {
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

/// Writes a row that was taken.
pub(super) async fn write(
    connection: &mut PgConnection,
    broker: &BrokerId,
    row: &LockRow,
) -> sqlx::Result<()> {
    let held = row.held.as_ref();
    let sessions = held.map(|held| serde_json::to_string(&held.sessions));
    let sessions = sessions.transpose().map_err(unreadable)?;
    let waiting = serde_json::to_string(&row.waiting).map_err(unreadable)?;
    sqlx::query!(
        "update porchlight.locks
         set fence = $4, user_id = $5, session = $6, sessions = $7::text::jsonb, audience = $8,
             locked_at = $9, renewed_at = $10, locked_until = $11, waiting = $12::text::jsonb
         where broker_id = $1 and module = $2 and record_id = $3",
        broker.as_str(),
        row.record.module.as_str(),
        row.record.id.as_str(),
        row.fence,
        held.map(|held| held.user.as_str()),
        held.map(|held| held.session.as_str()),
        sessions,
        held.map(|held| held.audience.to_string()),
        held.map(|held| held.locked_at),
        held.map(|held| held.renewed_at),
        held.map(|held| held.locked_until),
        waiting,
    )
    .execute(connection)
    .await
    .map(drop)
}
