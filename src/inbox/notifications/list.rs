//! The notifications of a user and the number of unread ones, at one position of the log.

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::notification::{Notification, NotificationContent, RecordLink};
use super::unread;
use super::{NotificationError, Notifications};
use crate::identity::Caller;
use crate::log::heads;
use crate::log::{Audience, Cursor, Epoch};
use crate::platform::{BrokerId, ModuleName, RecordId, TeamId, UserId};
use crate::platform::{PageItems, PageLimit};

/// The most attempts. The first may find no log of the brokerage, the next that the user's teams are not
/// stored.
const MOST_ATTEMPTS: usize = 4;

#[derive(Clone, Copy, Debug)]
pub struct NotificationListQuery {
    pub only_unread: bool,
    /// Only ids below this one.
    pub before: Option<i64>,
    pub limit: PageLimit,
}

#[derive(Debug)]
pub struct NotificationPage {
    /// The head of the log when the page was read.
    pub position: Cursor,
    /// From new to old, each with `read`.
    pub notifications: PageItems,
    /// Of all notifications, not only of the page.
    pub unread: i64,
    /// The cursor of the next page.
    pub next: Option<i64>,
}

/// A row of the table. All columns are null in the row of a brokerage without notifications.
#[derive(Default)]
struct NotificationRow {
    id: Option<i64>,
    audience: Option<String>,
    level: Option<String>,
    kind: Option<String>,
    system: Option<String>,
    title: Option<String>,
    body: Option<String>,
    module: Option<String>,
    record_id: Option<String>,
    user_id: Option<String>,
    count: Option<i64>,
    told_at: Option<OffsetDateTime>,
}

impl NotificationRow {
    fn notification(self) -> Option<Notification> {
        let record = self.record_id.and_then(|id| RecordId::parse(&id).ok());
        let module = self.module.and_then(|m| ModuleName::parse(&m).ok());
        let link = |module| RecordLink { module, record };
        let content = NotificationContent {
            audience: self.audience?.parse().ok()?,
            level: self.level?.parse().ok()?,
            kind: self.kind.and_then(|kind| kind.parse().ok()),
            system: self.system.and_then(|system| system.parse().ok()),
            title: self.title?,
            body: self.body,
            record: module.map(link),
            user: self.user_id.and_then(|id| UserId::parse(&id).ok()),
        };
        Some(Notification {
            id: self.id?,
            content,
            count: self.count?,
            at: self.told_at?,
        })
    }
}

/// A row of the query: the columns of the reader, and those of one notification.
struct ListRow {
    epoch: String,
    head: i64,
    teams: Option<Vec<String>>,
    unread: i64,
    is_behind: bool,
    id: Option<i64>,
    audience: Option<String>,
    level: Option<String>,
    kind: Option<String>,
    system: Option<String>,
    title: Option<String>,
    body: Option<String>,
    module: Option<String>,
    record_id: Option<String>,
    user_id: Option<String>,
    count: Option<i64>,
    told_at: Option<OffsetDateTime>,
    is_read: Option<bool>,
}

struct FoundNotifications {
    position: Cursor,
    unread: i64,
    is_behind: bool,
    teams: Option<Vec<String>>,
    notifications: Vec<(Notification, bool)>,
}

impl Notifications {
    /// The notifications for the caller, for their teams, and for the brokerage.
    ///
    /// Later events count the unread ones with the teams of the caller's token.
    pub async fn list(
        &self,
        caller: &Caller,
        query: NotificationListQuery,
    ) -> Result<NotificationPage, NotificationError> {
        let mut connection = self.pool.acquire().await?;
        for _ in 0..MOST_ATTEMPTS {
            let Some(found) = find(&mut connection, caller, query).await? else {
                let brokers = std::slice::from_ref(&caller.broker);
                heads::ensure(&mut connection, self.committer.dice(), brokers).await?;
                continue;
            };
            let teams = teams(caller);
            if found.teams.as_ref() != Some(&teams) {
                remember_teams(&mut connection, caller, &teams).await?;
                continue;
            }
            if found.is_behind
                && let Err(error) = unread::catch_up(&mut connection, caller).await
            {
                // The page is complete, and the next request tries again.
                tracing::debug!(%error, "the number of unread notifications was not stored");
            }
            return Ok(found.page(query.limit));
        }
        // Two devices with tokens of different teams send requests at the same time, again and again.
        Err(NotificationError::Busy)
    }
}

impl FoundNotifications {
    fn page(self, limit: PageLimit) -> NotificationPage {
        let mut page = PageItems::new(limit);
        let filled = page.fill(self.notifications, |(notification, is_read)| {
            let mut json = notification.json();
            json["read"] = json!(is_read);
            json.to_string()
        });
        let last = filled.goes_on_after();
        NotificationPage {
            position: self.position,
            notifications: page,
            unread: self.unread,
            next: last.map(|(last, _)| last.id),
        }
    }
}

/// The audiences of the caller, as the table has them.
pub(super) fn audiences(caller: &Caller) -> Vec<String> {
    let own = [Audience::User(caller.user.clone()), Audience::Broker];
    let teams = caller.teams.iter().cloned().map(Audience::Team);
    own.into_iter()
        .chain(teams)
        .map(|one| one.to_string())
        .collect()
}

/// The caller's teams as the table has them: as audiences, sorted.
pub(super) fn teams(caller: &Caller) -> Vec<String> {
    let teams = caller
        .teams
        .iter()
        .map(|team: &TeamId| format!("team:{team}"));
    let mut teams: Vec<_> = teams.collect();
    teams.sort_unstable();
    teams
}

/// Stores the caller's teams: the unread notifications of these are counted.
pub(super) async fn remember_teams(
    connection: &mut PgConnection,
    caller: &Caller,
    teams: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.notification_marks as m (broker_id, user_id, teams)
         values ($1, $2, $3)
         on conflict (broker_id, user_id) do update set teams = excluded.teams
             where m.teams is distinct from excluded.teams",
        caller.broker.as_str(),
        caller.user.as_str(),
        teams,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// One statement, so that the list, the number and the head belong together. It counts once and not
/// for every row. The number limits the search for unread notifications.
async fn find(
    connection: &mut PgConnection,
    caller: &Caller,
    query: NotificationListQuery,
) -> sqlx::Result<Option<FoundNotifications>> {
    let rows = sqlx::query_as!(
        ListRow,
        r#"with reader as materialized (
               select b.broker_id, b.epoch, b.head, m.teams, m.read_up_to, c.unread, c.is_behind
               from porchlight.brokers b
               left join porchlight.notification_marks m
                   on m.broker_id = b.broker_id and m.user_id = $2
               cross join lateral porchlight.count_unread($1, $2, $7) c
               where b.broker_id = $1
           )
           select m.epoch, m.head, m.teams, m.unread as "unread!",
               m.is_behind as "is_behind!", n.id as "id?", n.audience as "audience?", n.level as "level?", n.kind, n.system,
               n.title as "title?", n.body, n.module, n.record_id, n.user_id,
               n.count as "count?", n.told_at as "told_at?",
               (n.id <= m.read_up_to or r.is_read) as is_read
           from reader m
           left join lateral (
               select n.* from unnest($3::text[]) as mine(audience)
               cross join lateral (
                   select n.* from porchlight.notifications n
                   where n.broker_id = $1 and n.audience = mine.audience and n.id < $4
                       and n.id > case when $5 then coalesce(m.read_up_to, 0) else 0 end
                       and not ($5 and exists (
                           select from porchlight.notification_reads r
                           where r.broker_id = n.broker_id and r.id = n.id and r.user_id = $2
                           offset 0))
                   order by n.id desc limit case when $5 then least($6, m.unread) else $6 end
               ) n
               order by n.id desc limit $6
           ) n on true
           left join lateral (
               select true as is_read from porchlight.notification_reads r
               where r.broker_id = $1 and r.id = n.id and r.user_id = $2 offset 0
           ) r on true
           order by n.id desc"#,
        caller.broker.as_str(),
        caller.user.as_str(),
        &audiences(caller),
        query.before.unwrap_or(i64::MAX),
        query.only_unread,
        query.limit.rows() + 1,
        &teams(caller),
    )
    .fetch_all(connection)
    .await?;
    Ok(collect(rows))
}

fn collect(rows: Vec<ListRow>) -> Option<FoundNotifications> {
    let mut found = None;
    for r in rows {
        let found = found.get_or_insert_with(|| FoundNotifications {
            position: Epoch::stored(&r.epoch).at(r.head),
            unread: r.unread,
            is_behind: r.is_behind,
            teams: r.teams,
            notifications: Vec::new(),
        });
        let row = NotificationRow {
            id: r.id,
            audience: r.audience,
            level: r.level,
            kind: r.kind,
            system: r.system,
            title: r.title,
            body: r.body,
            module: r.module,
            record_id: r.record_id,
            user_id: r.user_id,
            count: r.count,
            told_at: r.told_at,
        };
        let is_read = r.is_read.unwrap_or(false);
        found
            .notifications
            .extend(row.notification().map(|one| (one, is_read)));
    }
    found
}

pub(super) async fn by_id(
    connection: &mut PgConnection,
    broker: &BrokerId,
    id: i64,
) -> sqlx::Result<Option<Notification>> {
    let row = sqlx::query_as!(
        NotificationRow,
        "select id, audience, level, kind, system, title, body, module, record_id, user_id, count,
             told_at
         from porchlight.notifications where broker_id = $1 and id = $2",
        broker.as_str(),
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(NotificationRow::notification))
}
