//! Lists locks, with the position of the log at which the list is true.

use std::fmt;
use std::str::FromStr;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Holder, Lock, LockError, Locks};
use crate::identity::Caller;
use crate::log::heads;
use crate::log::{Audience, Cursor, Epoch};
use crate::platform::{BrokerId, ModuleName, RecordPath};
use crate::platform::{PageItems, PageLimit};

pub const MOST_LISTED: usize = 1_000;

#[derive(Clone, Debug, Default)]
pub struct LockListQuery {
    pub module: Option<ModuleName>,
    pub record: Option<RecordPath>,
    /// Only locks after this one.
    pub after: Option<PageCursor>,
}

#[derive(Debug)]
pub struct LockPage {
    pub position: Cursor,
    /// Oldest grant first.
    pub locks: PageItems,
    pub next: Option<PageCursor>,
}

/// The last lock of a page. Clients send it to get the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    locked_at: OffsetDateTime,
    record: RecordPath,
}

/// Text that is no page cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the `next` of a page")]
pub struct InvalidPageCursor;

impl PageCursor {
    /// The page after this lock.
    pub(super) fn after(lock: &Lock) -> Self {
        Self {
            locked_at: lock.locked_at,
            record: lock.record(),
        }
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.locked_at.unix_timestamp_nanos() / 1_000;
        write!(f, "{micros}-{}", self.record)
    }
}

impl FromStr for PageCursor {
    type Err = InvalidPageCursor;
    fn from_str(text: &str) -> Result<Self, InvalidPageCursor> {
        let (micros, record) = text.split_once('-').ok_or(InvalidPageCursor)?;
        let nanos = micros.parse::<i64>().map_err(|_| InvalidPageCursor)?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos) * 1_000);
        Ok(Self {
            locked_at: at.map_err(|_| InvalidPageCursor)?,
            record: record.parse().map_err(|_| InvalidPageCursor)?,
        })
    }
}

impl Locks {
    /// The locks that the caller may see.
    pub async fn list(
        &self,
        caller: &Caller,
        query: &LockListQuery,
        limit: PageLimit,
    ) -> Result<LockPage, LockError> {
        let mut connection = self.pool.acquire().await?;
        let own = [Audience::Broker, Audience::User(caller.user.clone())];
        let teams = caller.teams.iter().cloned().map(Audience::Team);
        let query = HeldLocksQuery {
            brokers: std::slice::from_ref(&caller.broker),
            audiences: Some(own.into_iter().chain(teams).collect()),
            list: query.clone(),
            most: limit.rows() + 1,
        };
        let mut locks = PageItems::new(limit);
        let found = held_locks(&mut connection, &query).await?.pop();
        let Some(found) = found else {
            // This brokerage has no log yet.
            let position = self.start_of_log(&mut connection, &caller.broker).await?;
            return Ok(LockPage {
                position,
                locks,
                next: None,
            });
        };
        let filled = locks.fill(found.locks, |held| {
            serde_json::to_string(&held.lock).unwrap_or_default()
        });
        Ok(LockPage {
            position: found.position,
            locks,
            next: filled
                .goes_on_after()
                .map(|last| PageCursor::after(&last.lock)),
        })
    }

    async fn start_of_log(
        &self,
        connection: &mut PgConnection,
        broker: &BrokerId,
    ) -> Result<Cursor, LockError> {
        let brokers = std::slice::from_ref(broker);
        let known = heads::ensure(connection, self.committer.dice(), brokers).await?;
        let head = known.first().map(|(_, log)| log.cursor());
        head.ok_or(LockError::Busy)
    }
}

/// Which locks to read from the table.
pub(super) struct HeldLocksQuery<'a> {
    pub(super) brokers: &'a [BrokerId],
    pub(super) audiences: Option<Vec<Audience>>,
    pub(super) list: LockListQuery,
    /// Locks of one brokerage.
    pub(super) most: i64,
}

/// The locks of one brokerage, and the head of its log at the same moment.
#[derive(Debug)]
pub(super) struct BrokerageLocks {
    pub(super) broker: BrokerId,
    pub(super) position: Cursor,
    pub(super) locks: Vec<HeldLock>,
}

#[derive(Debug)]
pub(super) struct HeldLock {
    /// Who may see the record now. It may have moved since the lock was granted.
    pub(super) audience: Audience,
    pub(super) record: RecordPath,
    pub(super) lock: Lock,
}

struct HeldLockRow {
    broker_id: String,
    epoch: String,
    head: i64,
    module: Option<String>,
    record_id: Option<String>,
    user_id: Option<String>,
    session: Option<String>,
    seen_by: Option<String>,
    fence: Option<i64>,
    locked_at: Option<OffsetDateTime>,
    locked_until: Option<OffsetDateTime>,
    waiting: Option<i32>,
}

/// The locks that somebody holds, for each brokerage that has a log. It is one statement, so that
/// the head and the locks are of the same moment.
pub(super) async fn held_locks(
    connection: &mut PgConnection,
    query: &HeldLocksQuery<'_>,
) -> sqlx::Result<Vec<BrokerageLocks>> {
    let brokers: Vec<_> = query.brokers.iter().map(BrokerId::as_str).collect();
    let audiences = query.audiences.as_ref();
    let audiences: Option<Vec<_>> =
        audiences.map(|all| all.iter().map(ToString::to_string).collect());
    let (record, after) = (query.list.record.as_ref(), query.list.after.as_ref());
    let rows = sqlx::query_as!(
        HeldLockRow,
        r#"select b.broker_id, b.epoch, b.head, l.module as "module?", l.record_id as "record_id?",
               l.user_id, l.session, l.seen_by, l.fence as "fence?", l.locked_at, l.locked_until,
               jsonb_array_length(l.waiting) as waiting
           from porchlight.brokers b
           left join lateral (
               select * from porchlight.seen_locks l
               where l.broker_id = b.broker_id and l.module = $6 and l.record_id = $4
                   and l.locked_until > statement_timestamp()
                   and ($2::text[] is null or l.seen_by = any($2))
                   and ($3::text is null or l.module = $3)
                   and (l.locked_at, l.module, l.record_id)
                       > (coalesce($7::timestamptz, '-infinity'), coalesce($8, ''), coalesce($9, ''))
               union all
               (select * from porchlight.seen_locks l
                where l.broker_id = b.broker_id and $4::text is null
                    and l.locked_until > statement_timestamp()
                    and ($2::text[] is null or l.seen_by = any($2))
                    and ($3::text is null or l.module = $3)
                    and (l.locked_at, l.module, l.record_id)
                        > (coalesce($7::timestamptz, '-infinity'), coalesce($8, ''), coalesce($9, ''))
                order by l.locked_at, l.module, l.record_id limit $5)
           ) l on true
           where b.broker_id = any($1)
           order by b.broker_id, l.locked_at, l.module, l.record_id"#,
        &brokers as &[&str],
        audiences as Option<Vec<String>>,
        query.list.module.as_ref().map(ModuleName::as_str),
        record.map(|record| record.id.as_str()),
        query.most,
        record.map(|record| record.module.as_str()),
        after.map(|after| after.locked_at),
        after.map(|after| after.record.module.as_str()),
        after.map(|after| after.record.id.as_str()),
    )
    .fetch_all(connection)
    .await?;
    Ok(by_brokerage(rows))
}

fn by_brokerage(rows: Vec<HeldLockRow>) -> Vec<BrokerageLocks> {
    let mut brokerages: Vec<BrokerageLocks> = Vec::new();
    for row in rows {
        let Ok(broker) = BrokerId::parse(&row.broker_id) else {
            continue;
        };
        if brokerages.last().is_none_or(|last| last.broker != broker) {
            brokerages.push(BrokerageLocks {
                broker,
                position: Epoch::stored(&row.epoch).at(row.head),
                locks: Vec::new(),
            });
        }
        if let Some(last) = brokerages.last_mut() {
            last.locks.extend(row.held_lock());
        }
    }
    brokerages
}

impl HeldLockRow {
    fn held_lock(self) -> Option<HeldLock> {
        let holder = Holder {
            user_id: self.user_id?.parse().ok()?,
            session: self.session?.parse().ok()?,
        };
        let lock = Lock {
            module: self.module?.parse().ok()?,
            record_id: self.record_id?.parse().ok()?,
            holder,
            fence: self.fence?,
            locked_at: self.locked_at?,
            locked_until: self.locked_until?,
            waiting: usize::try_from(self.waiting?).ok()?,
        };
        Some(HeldLock {
            audience: self.seen_by?.parse().ok()?,
            record: lock.record(),
            lock,
        })
    }
}
