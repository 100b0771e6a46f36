//! The ids of a brokerage's notifications, in one row. A transaction that creates or reads
//! notifications locks this row first, then the rows of the readers, and last the log.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::notification::{Notification, NotificationContent, NotificationKind, SystemNotice};
use super::unread;
use super::unread_room::{UnreadLimits, UnreadRoom};
use crate::log::{Audience, NewEvent};
use crate::platform::{BrokerId, UserId};

/// An unread notification that is not older counts further events of its subject.
const REPEAT_WINDOW: Duration = Duration::from_mins(10);

/// A notification without an id.
#[derive(Clone, Debug)]
pub(super) struct NotificationDraft {
    pub(super) content: NotificationContent,
    /// How many events it stands for.
    pub(super) count: i64,
    /// Drafts of the same subject are added to one notification.
    pub(super) subject: Option<String>,
    pub(super) repetition: Repetition,
    /// The person who posted it, for the quota.
    pub(super) posted_by: Option<UserId>,
}

/// A notification that was created or updated, and its event.
pub(super) struct SentNotification {
    pub(super) notification: Notification,
    pub(super) event: NewEvent,
    /// The number of unread ones after it, if the audience is one user. For some, it is at least that.
    pub(super) unread: Option<i64>,
}

/// A notification to insert.
struct NewNotificationRow {
    notification: Notification,
    subject: Option<String>,
    posted_by: Option<UserId>,
}

/// The ids of new notifications, from `first` on.
struct ReservedIds {
    first: i64,
    now: OffsetDateTime,
}

/// An unread notification that a draft is added to.
struct OlderNotification {
    id: i64,
    count: i64,
}

/// How the text says that something happened more than once.
#[derive(Clone, Debug)]
pub(super) enum Repetition {
    /// Not at all: clients show `count`.
    Unsaid,
    /// The title is about the newest event; the body has the number.
    Newest,
    /// The title has the number: `who` changed so many `things`.
    Number { who: String, things: String },
}

impl Repetition {
    fn apply(&self, content: &mut NotificationContent, count: i64) {
        match self {
            Self::Newest if count > 1 => {
                content.body = Some(format!("The newest of {count} changes."));
            }
            Self::Unsaid | Self::Newest => {}
            Self::Number { who, things } => {
                content.title = format!("{who} changed {count} of your {things}");
            }
        }
    }
}

/// Locks the sequence for a reader, and returns the last id, or 0.
pub(super) async fn lock_shared(
    connection: &mut PgConnection,
    broker: &BrokerId,
) -> sqlx::Result<i64> {
    if let Some(last) = lock_row(connection, broker).await? {
        return Ok(last);
    }
    // Without a row there is nothing to lock, and the first notification could come at any moment.
    sqlx::query!(
        "insert into porchlight.notification_books (broker_id, last_id) values ($1, 0)
         on conflict do nothing",
        broker.as_str(),
    )
    .execute(&mut *connection)
    .await?;
    Ok(lock_row(connection, broker).await?.unwrap_or(0))
}

async fn lock_row(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select last_id from porchlight.notification_books where broker_id = $1 for share",
        broker.as_str(),
    )
    .fetch_optional(connection)
    .await
}

/// Locks the rows of users, in order. Until the transaction ends, no other one changes or publishes their
/// number of unread notifications.
pub(super) async fn lock_readers(
    connection: &mut PgConnection,
    broker: &BrokerId,
    users: &[&str],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.notification_marks (broker_id, user_id)
         select $1, user_id from unnest($2::text[]) as u(user_id) order by user_id
         on conflict do nothing",
        broker.as_str(),
        users as &[&str],
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "select from porchlight.notification_marks where broker_id = $1 and user_id = any($2)
         order by user_id for no key update",
        broker.as_str(),
        users as &[&str],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Creates a notification from each draft, or adds the draft to an unread notification of the same
/// subject. The drafts have different subjects. Who has as many unread ones as `limits` allow gets no
/// further ones.
pub(super) async fn send(
    connection: &mut PgConnection,
    broker: &BrokerId,
    drafts: Vec<NotificationDraft>,
    limits: UnreadLimits,
) -> sqlx::Result<Vec<SentNotification>> {
    let ids = reserve_ids(connection, broker, drafts.len()).await?;
    let audiences = drafts.iter().map(|draft| &draft.content.audience);
    let mut users: Vec<&str> = audiences.filter_map(reader).collect();
    users.sort_unstable();
    users.dedup();
    let mut room = UnreadRoom::default();
    let mut older = BTreeMap::new();
    if !users.is_empty() {
        lock_readers(connection, broker, &users).await?;
        let unread = unread::store_all(connection, broker, &users, ids.first - 1).await?;
        room = UnreadRoom::read(connection, broker, unread, limits).await?;
        older = find_older(connection, broker, &drafts).await?;
    }
    let (mut new, mut repeated) = (Vec::new(), Vec::new());
    let mut sent = Vec::new();
    for (i, draft) in drafts.into_iter().enumerate() {
        let older = older.get(&i);
        if older.is_none() && !room.take(&draft.content.audience) {
            continue;
        }
        let mut notification = Notification {
            id: ids.first + i64::try_from(i).unwrap_or(i64::MAX),
            count: draft.count,
            content: draft.content,
            at: ids.now,
        };
        if let Some(older) = older {
            notification.id = older.id;
            notification.count += older.count;
        }
        let count = notification.count;
        draft.repetition.apply(&mut notification.content, count);
        let unread = room.unread(&notification.content.audience);
        let whole = unread.filter(|unread| unread.is_whole);
        let event = notification.event(whole.map(|unread| unread.count));
        if older.is_some() {
            repeated.push(notification.clone());
        } else {
            new.push(NewNotificationRow {
                notification: notification.clone(),
                subject: draft.subject,
                posted_by: draft.posted_by,
            });
        }
        sent.push(SentNotification {
            notification,
            event,
            unread: unread.map(|unread| unread.count),
        });
    }
    insert(connection, broker, &new).await?;
    update(connection, broker, &repeated).await?;
    Ok(sent)
}

/// The user, if the audience is one user.
fn reader(audience: &Audience) -> Option<&str> {
    match audience {
        Audience::User(user) => Some(user.as_str()),
        _ => None,
    }
}

/// Locks the sequence and reserves `count` ids.
async fn reserve_ids(
    connection: &mut PgConnection,
    broker: &BrokerId,
    count: usize,
) -> sqlx::Result<ReservedIds> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row = sqlx::query!(
        r#"insert into porchlight.notification_books as b (broker_id, last_id) values ($1, $2)
           on conflict (broker_id) do update set last_id = b.last_id + excluded.last_id
           returning last_id, clock_timestamp() as "now!""#,
        broker.as_str(),
        count,
    )
    .fetch_one(connection)
    .await?;
    Ok(ReservedIds {
        first: row.last_id - count + 1,
        now: row.now,
    })
}

/// Finds the unread notifications that drafts are added to, by the index of the draft.
async fn find_older(
    connection: &mut PgConnection,
    broker: &BrokerId,
    drafts: &[NotificationDraft],
) -> sqlx::Result<BTreeMap<usize, OlderNotification>> {
    let content = || drafts.iter().map(|draft| &draft.content);
    let audiences: Vec<_> = content()
        .map(|content| content.audience.to_string())
        .collect();
    let kinds: Vec<_> = content()
        .map(|content| content.kind.map(NotificationKind::as_str))
        .collect();
    let subjects: Vec<_> = drafts.iter().map(|d| d.subject.as_deref()).collect();
    let users: Vec<_> = content().map(|content| reader(&content.audience)).collect();
    let rows = sqlx::query!(
        r#"select d.ord as "ord!", n.id, n.count
           from unnest($2::text[], $3::text[], $4::text[], $6::text[])
               with ordinality as d(audience, kind, subject, user_id, ord)
           join porchlight.notification_marks m on m.broker_id = $1 and m.user_id = d.user_id
           cross join lateral (
               select n.id, n.count from porchlight.notifications n
               where n.broker_id = $1 and n.audience = d.audience and n.kind = d.kind
                   and n.subject = d.subject
                   and n.created_at > clock_timestamp() - make_interval(secs => $5)
                   and n.id > m.read_up_to
                   and not exists (
                       select from porchlight.notification_reads r
                       where r.broker_id = n.broker_id and r.id = n.id and r.user_id = m.user_id)
               order by n.id desc limit 1
           ) n"#,
        broker.as_str(),
        &audiences,
        &kinds as &[Option<&str>],
        &subjects as &[Option<&str>],
        REPEAT_WINDOW.as_secs_f64(),
        &users as &[Option<&str>],
    )
    .fetch_all(connection)
    .await?;
    let index = |ord: i64| usize::try_from(ord - 1).unwrap_or(usize::MAX);
    let older = rows.into_iter().map(|row| {
        let (id, count) = (row.id, row.count);
        (index(row.ord), OlderNotification { id, count })
    });
    Ok(older.collect())
}

async fn insert(
    connection: &mut PgConnection,
    broker: &BrokerId,
    new: &[NewNotificationRow],
) -> sqlx::Result<()> {
    let content = || new.iter().map(|row| &row.notification.content);
    let ids: Vec<_> = new.iter().map(|row| row.notification.id).collect();
    let counts: Vec<_> = new.iter().map(|row| row.notification.count).collect();
    let times: Vec<_> = new.iter().map(|row| row.notification.at).collect();
    let audiences: Vec<_> = content()
        .map(|content| content.audience.to_string())
        .collect();
    let levels: Vec<_> = content().map(|content| content.level.as_str()).collect();
    let kinds: Vec<_> = content()
        .map(|content| content.kind.map(NotificationKind::as_str))
        .collect();
    let subjects: Vec<_> = new.iter().map(|row| row.subject.as_deref()).collect();
    let posters = new.iter().map(|row| row.posted_by.as_ref());
    let posters: Vec<_> = posters.map(|user| user.map(UserId::as_str)).collect();
    let systems: Vec<_> = content()
        .map(|content| content.system.map(SystemNotice::as_str))
        .collect();
    let titles: Vec<_> = content().map(|content| content.title.as_str()).collect();
    let bodies: Vec<_> = content().map(|content| content.body.as_deref()).collect();
    let links = || content().map(|content| content.record.as_ref());
    let modules: Vec<_> = links().map(|link| Some(link?.module.as_str())).collect();
    let records: Vec<_> = links()
        .map(|link| Some(link?.record.as_ref()?.as_str()))
        .collect();
    let users: Vec<_> = content()
        .map(|content| content.user.as_ref().map(UserId::as_str))
        .collect();
    sqlx::query!(
        "insert into porchlight.notifications (broker_id, id, audience, level, kind, subject, system,
             title, body, module, record_id, user_id, count, created_at, told_at, posted_by)
         select $1, id, audience, level, kind, subject, system, title, body, module, record_id,
             user_id, count, at, at, posted_by
         from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[],
                 $14::timestamptz[], $15::text[])
             as n(id, audience, level, kind, subject, system, title, body, module, record_id,
                 user_id, count, at, posted_by)",
        broker.as_str(),
        &ids,
        &audiences,
        &levels as &[&str],
        &kinds as &[Option<&str>],
        &subjects as &[Option<&str>],
        &systems as &[Option<&str>],
        &titles as &[&str],
        &bodies as &[Option<&str>],
        &modules as &[Option<&str>],
        &records as &[Option<&str>],
        &users as &[Option<&str>],
        &counts,
        &times,
        &posters as &[Option<&str>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes the new text and count of unread notifications.
async fn update(
    connection: &mut PgConnection,
    broker: &BrokerId,
    repeated: &[Notification],
) -> sqlx::Result<()> {
    if repeated.is_empty() {
        return Ok(());
    }
    let content = || repeated.iter().map(|notification| &notification.content);
    let ids: Vec<_> = repeated.iter().map(|one| one.id).collect();
    let counts: Vec<_> = repeated.iter().map(|one| one.count).collect();
    let times: Vec<_> = repeated.iter().map(|one| one.at).collect();
    let levels: Vec<_> = content().map(|content| content.level.as_str()).collect();
    let titles: Vec<_> = content().map(|content| content.title.as_str()).collect();
    let bodies: Vec<_> = content().map(|content| content.body.as_deref()).collect();
    let users: Vec<_> = content()
        .map(|content| content.user.as_ref().map(UserId::as_str))
        .collect();
    sqlx::query!(
        "update porchlight.notifications n
         set count = a.count, told_at = a.at, level = a.level, title = a.title, body = a.body,
             user_id = a.user_id
         from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[],
                 $7::text[], $8::text[])
             as a(id, count, at, level, title, body, user_id)
         where n.broker_id = $1 and n.id = a.id",
        broker.as_str(),
        &ids,
        &counts,
        &times,
        &levels as &[&str],
        &titles as &[&str],
        &bodies as &[Option<&str>],
        &users as &[Option<&str>],
    )
    .execute(connection)
    .await
    .map(drop)
}
