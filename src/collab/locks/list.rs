//! What is held, at one moment of the log.

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
    /// Only of this module.
    pub module: Option<ModuleName>,
    /// Only of this record.
    pub record: Option<RecordPath>,
    /// Only those that come after this one.
    pub after: Option<PageCursor>,
}

/// Locks, true at a position.
#[derive(Debug)]
pub struct LockPage {
    pub position: Cursor,
    /// The locks, those held longest first.
    pub locks: PageItems,
    /// Where the next page begins, if there is one.
    pub next: Option<PageCursor>,
}

/// A lock in the order of lists, as clients keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    locked_at: OffsetDateTime,
    record: RecordPath,
}

/// Text that is no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the `next` of a page")]
pub struct InvalidPageCursor;

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
        wanted: &LockListQuery,
        limit: PageLimit,
    ) -> Result<LockPage, LockError> {
        let mut connection = self.pool.acquire().await?;
        let mine = [Audience::Broker, Audience::User(caller.user.clone())];
        let teams = caller.teams.iter().cloned().map(Audience::Team);
        let question = LockQuestion {
            brokers: std::slice::from_ref(&caller.broker),
            audiences: Some(mine.into_iter().chain(teams).collect()),
            wanted: wanted.clone(),
            most: limit.rows() + 1,
        };
        let mut locks = PageItems::new(limit);
        let found = held(&mut connection, &question).await?.pop();
        let Some(found) = found else {
            // Nothing was ever told at this broker.
            let position = self.start_of_log(&mut connection, &caller.broker).await?;
            return Ok(LockPage {
                position,
                locks,
                next: None,
            });
        };
        let filled = locks.fill(found.locks, |(_, lock)| {
            serde_json::to_string(lock).unwrap_or_default()
        });
        Ok(LockPage {
            position: found.position,
            locks,
            next: filled.goes_on_after().map(|(_, last)| PageCursor {
                locked_at: last.locked_at,
                record: RecordPath {
                    module: last.module,
                    id: last.record_id,
                },
            }),
        })
    }

    async fn start_of_log(
        &self,
        connection: &mut PgConnection,
        broker: &BrokerId,
    ) -> Result<Cursor, LockError> {
        let brokers = std::slice::from_ref(broker);
        let known = heads::ensure(connection, self.committer.dice(), brokers).await?;
        let head = known.first().map(|(_, log)| log.epoch.at(log.head));
        head.ok_or(LockError::Busy)
    }
}

/// What is asked of the table.
pub(super) struct LockQuestion<'a> {
    pub(super) brokers: &'a [BrokerId],
    pub(super) audiences: Option<Vec<Audience>>,
    pub(super) wanted: LockListQuery,
    pub(super) most: i64,
}

/// The locks of one broker, and the log at that very moment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) broker: BrokerId,
    pub(super) position: Cursor,
    pub(super) locks: Vec<(Audience, Lock)>,
}

struct FoundRow {
    broker_id: String,
    epoch: String,
    head: i64,
    module: Option<String>,
    record_id: Option<String>,
    user_id: Option<String>,
    session: Option<String>,
    audience: Option<String>,
    fence: Option<i64>,
    locked_at: Option<OffsetDateTime>,
    locked_until: Option<OffsetDateTime>,
    waiting: Option<i32>,
}

/// The locks that are held, of those brokers that have a log; one statement, so that a
/// log's head and its locks are of the same moment.
pub(super) async fn held(
    connection: &mut PgConnection,
    question: &LockQuestion<'_>,
) -> sqlx::Result<Vec<Found>> {
    let brokers: Vec<_> = question.brokers.iter().map(BrokerId::as_str).collect();
    let eyes = question.audiences.as_ref();
    let eyes: Option<Vec<_>> = eyes.map(|eyes| eyes.iter().map(ToString::to_string).collect());
    let wanted = &question.wanted;
    let (record, after) = (wanted.record.as_ref(), wanted.after.as_ref());
    let rows = sqlx::query_as!(
        FoundRow,
        r#"select b.broker_id, b.epoch, b.head, l.module as "module?", l.record_id as "record_id?",
               l.user_id, l.session, l.audience, l.fence as "fence?", l.locked_at, l.locked_until,
               jsonb_array_length(l.waiting) as waiting
           from porchlight.brokers b
           left join lateral (
               select * from porchlight.locks l
               where l.broker_id = b.broker_id and l.module = $6 and l.record_id = $4
                   and l.locked_until > statement_timestamp()
                   and ($2::text[] is null or l.audience = any($2))
                   and ($3::text is null or l.module = $3)
                   and (l.locked_at, l.module, l.record_id)
                       > (coalesce($7::timestamptz, '-infinity'), coalesce($8, ''), coalesce($9, ''))
               union all
               (select * from porchlight.locks l
                where l.broker_id = b.broker_id and $4::text is null
                    and l.locked_until > statement_timestamp()
                    and ($2::text[] is null or l.audience = any($2))
                    and ($3::text is null or l.module = $3)
                    and (l.locked_at, l.module, l.record_id)
                        > (coalesce($7::timestamptz, '-infinity'), coalesce($8, ''), coalesce($9, ''))
                order by l.locked_at, l.module, l.record_id limit $5)
           ) l on true
           where b.broker_id = any($1)
           order by b.broker_id, l.locked_at, l.module, l.record_id"#,
        &brokers as &[&str],
        eyes as Option<Vec<String>>,
        wanted.module.as_ref().map(ModuleName::as_str),
        record.map(|record| record.id.as_str()),
        question.most,
        record.map(|record| record.module.as_str()),
        after.map(|after| after.locked_at),
        after.map(|after| after.record.module.as_str()),
        after.map(|after| after.record.id.as_str()),
    )
    .fetch_all(connection)
    .await?;
    Ok(gathered(rows))
}

fn gathered(rows: Vec<FoundRow>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for row in rows {
        let Ok(broker) = BrokerId::parse(&row.broker_id) else {
            continue;
        };
        if found.last().is_none_or(|last| last.broker != broker) {
            found.push(Found {
                broker,
                position: Epoch::stored(&row.epoch).at(row.head),
                locks: Vec::new(),
            });
        }
        if let Some(last) = found.last_mut() {
            last.locks.extend(row.lock());
        }
    }
    found
}

impl FoundRow {
    fn lock(self) -> Option<(Audience, Lock)> {
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
        Some((self.audience?.parse().ok()?, lock))
    }
}
