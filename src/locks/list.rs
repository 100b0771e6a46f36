//! What is held, at one moment of the log.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Holder, Lock, LockError, Locks};
use crate::event::{Audience, Cursor, Epoch};
use crate::event_log::heads;
use crate::identity::Caller;
use crate::ids::{BrokerId, ModuleName, RecordPath};

/// Locks of one list.
pub const MOST_LISTED: usize = 1_000;

/// Which locks are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only of this module.
    pub module: Option<ModuleName>,
    /// Only of this record.
    pub record: Option<RecordPath>,
}

/// Locks, true at a position.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where the log stood.
    pub position: Cursor,
    /// The locks, those held longest first.
    pub locks: Vec<Lock>,
    /// Whether there were more.
    pub is_truncated: bool,
}

impl Locks {
    /// The locks that the caller may see.
    pub async fn list(&self, caller: &Caller, wanted: &Wanted) -> Result<Listed, LockError> {
        let mut connection = self.pool.acquire().await?;
        let mine = [Audience::Broker, Audience::User(caller.user.clone())];
        let teams = caller.teams.iter().cloned().map(Audience::Team);
        let question = Question {
            brokers: std::slice::from_ref(&caller.broker),
            audiences: Some(mine.into_iter().chain(teams).collect()),
            wanted: wanted.clone(),
            most: MOST_LISTED + 1,
        };
        let found = held(&mut connection, &question).await?.pop();
        let Some(found) = found else {
            // Nothing was ever told at this broker.
            let position = self.start_of_log(&mut connection, &caller.broker).await?;
            return Ok(Listed {
                position,
                locks: Vec::new(),
                is_truncated: false,
            });
        };
        let is_truncated = found.locks.len() > MOST_LISTED;
        let locks = found.locks.into_iter().take(MOST_LISTED);
        Ok(Listed {
            position: found.position,
            locks: locks.map(|(_, lock)| lock).collect(),
            is_truncated,
        })
    }

    async fn start_of_log(
        &self,
        connection: &mut PgConnection,
        broker: &BrokerId,
    ) -> Result<Cursor, LockError> {
        let brokers = std::slice::from_ref(broker);
        let known = heads::ensure(connection, self.teller.dice(), brokers).await?;
        let head = known.first().map(|(_, log)| log.epoch.at(log.head));
        head.ok_or(LockError::Busy)
    }
}

/// What is asked of the table.
pub(super) struct Question<'a> {
    pub(super) brokers: &'a [BrokerId],
    /// Whose eyes; none: all.
    pub(super) audiences: Option<Vec<Audience>>,
    pub(super) wanted: Wanted,
    /// Locks of each broker.
    pub(super) most: usize,
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
    question: &Question<'_>,
) -> sqlx::Result<Vec<Found>> {
    let brokers: Vec<_> = question.brokers.iter().map(BrokerId::as_str).collect();
    let eyes = question.audiences.as_ref();
    let eyes: Option<Vec<_>> = eyes.map(|eyes| eyes.iter().map(ToString::to_string).collect());
    let wanted = &question.wanted;
    let rows = sqlx::query_as!(
        FoundRow,
        r#"select b.broker_id, b.epoch, b.head, l.module as "module?", l.record_id as "record_id?",
               l.user_id, l.session, l.audience, l.fence as "fence?", l.locked_at, l.locked_until,
               jsonb_array_length(l.waiting) as waiting
           from porchlight.brokers b
           left join lateral (
               select * from porchlight.locks l
               where l.broker_id = b.broker_id and l.locked_until > statement_timestamp()
                   and ($2::text[] is null or l.audience = any($2))
                   and ($3::text is null or l.module = $3)
                   and ($4::text is null or l.module || '/' || l.record_id = $4)
               order by l.locked_at, l.module, l.record_id limit $5
           ) l on true
           where b.broker_id = any($1)
           order by b.broker_id, l.locked_at, l.module, l.record_id"#,
        &brokers as &[&str],
        eyes as Option<Vec<String>>,
        wanted.module.as_ref().map(ModuleName::as_str),
        wanted.record.as_ref().map(ToString::to_string),
        i64::try_from(question.most).unwrap_or(i64::MAX),
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
