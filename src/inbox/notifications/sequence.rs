//! The book of a broker's notifications: who makes some, and who reads some, takes it first, the
//! rows of the readers next, and the log last.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::notification::{Kind, Notification, Said, System};
use super::unread;
use crate::log::{Audience, NewEvent};
use crate::platform::{BrokerId, ModuleName, RecordId, UserId};

/// So long after it was made, an unread one takes up others of its subject.
const TAKES_UP: Duration = Duration::from_mins(10);

/// What is to be entered.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// What it says, of this many times.
    pub(super) said: Said,
    pub(super) count: i64,
    /// What it is about: further ones are added to it.
    pub(super) subject: Option<String>,
    pub(super) times: Times,
}

/// How it says how often it happened.
#[derive(Clone, Debug)]
pub(super) enum Times {
    /// Not at all: its count is shown beside it.
    Unsaid,
    /// It tells of the newest.
    Newest,
    /// It tells of the number: somebody changed so many of these.
    Number { who: String, of: String },
}

impl Times {
    fn say(&self, said: &mut Said, count: i64) {
        match self {
            Self::Newest if count > 1 => {
                said.body = Some(format!("The newest of {count} changes."));
            }
            Self::Unsaid | Self::Newest => {}
            Self::Number { who, of } => {
                said.title = format!("{who} changed {count} of your {of}");
            }
        }
    }
}

/// What readers hold still while they read: the number of the newest, 0 where there is none.
pub(super) async fn hold(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<i64> {
    let last = sqlx::query_scalar!(
        "select last_id from porchlight.notification_books where broker_id = $1 for share",
        broker.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(last.unwrap_or(0))
}

/// Takes the rows of readers, in order: what is told of their unread ones waits for us.
pub(super) async fn take_readers(
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

/// Enters drafts, each of another subject, and gives the events that tell of them.
pub(super) async fn enter(
    connection: &mut PgConnection,
    broker: &BrokerId,
    drafts: Vec<Draft>,
) -> sqlx::Result<Vec<(Notification, NewEvent)>> {
    let (last, now) = open(connection, broker, drafts.len()).await?;
    let first = last - i64::try_from(drafts.len()).unwrap_or(i64::MAX) + 1;
    let audiences = drafts.iter().map(|draft| &draft.said.audience);
    let mut users: Vec<&str> = audiences.filter_map(reader).collect();
    users.sort_unstable();
    users.dedup();
    let mut unread = BTreeMap::new();
    let mut older = BTreeMap::new();
    if !users.is_empty() {
        take_readers(connection, broker, &users).await?;
        unread = unread::keep_all(connection, broker, (&users, first - 1)).await?;
        older = takers_up(connection, broker, &drafts).await?;
    }
    let (mut new, mut again) = (Vec::new(), Vec::new());
    let mut entered = Vec::new();
    for (i, draft) in drafts.into_iter().enumerate() {
        let mut notification = Notification {
            id: first + i64::try_from(i).unwrap_or(i64::MAX),
            count: draft.count,
            said: draft.said,
            at: now,
        };
        let is_new = !older.contains_key(&i);
        if let Some((id, count)) = older.get(&i) {
            notification.id = *id;
            notification.count += count;
        }
        draft.times.say(&mut notification.said, notification.count);
        let unread = match &notification.said.audience {
            Audience::User(user) => unread.get_mut(user).map(|unread: &mut i64| {
                *unread += i64::from(is_new);
                *unread
            }),
            _ => None,
        };
        entered.push((notification.clone(), notification.told(unread)));
        if is_new {
            new.push((notification, draft.subject));
        } else {
            again.push(notification);
        }
    }
    insert(connection, broker, &new).await?;
    rewrite(connection, broker, &again).await?;
    Ok(entered)
}

/// Whose own it is, if it is for one user.
fn reader(audience: &Audience) -> Option<&str> {
    match audience {
        Audience::User(user) => Some(user.as_str()),
        _ => None,
    }
}

/// Takes the book for as many more; gives the last of their numbers, and the time.
async fn open(
    connection: &mut PgConnection,
    broker: &BrokerId,
    count: usize,
) -> sqlx::Result<(i64, OffsetDateTime)> {
    let row = sqlx::query!(
        r#"insert into porchlight.notification_books as b (broker_id, last_id) values ($1, $2)
           on conflict (broker_id) do update set last_id = b.last_id + excluded.last_id
           returning last_id, clock_timestamp() as "now!""#,
        broker.as_str(),
        i64::try_from(count).unwrap_or(i64::MAX),
    )
    .fetch_one(connection)
    .await?;
    Ok((row.last_id, row.now))
}

/// Unread ones that take up some of the drafts: their numbers and counts, by draft.
async fn takers_up(
    connection: &mut PgConnection,
    broker: &BrokerId,
    drafts: &[Draft],
) -> sqlx::Result<BTreeMap<usize, (i64, i64)>> {
    let said = || drafts.iter().map(|draft| &draft.said);
    let audiences: Vec<_> = said().map(|said| said.audience.to_string()).collect();
    let kinds: Vec<_> = said().map(|said| said.kind.map(Kind::as_str)).collect();
    let subjects: Vec<_> = drafts.iter().map(|d| d.subject.as_deref()).collect();
    let users: Vec<_> = said().map(|said| reader(&said.audience)).collect();
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
        TAKES_UP.as_secs_f64(),
        &users as &[Option<&str>],
    )
    .fetch_all(connection)
    .await?;
    let at = |ord: i64| usize::try_from(ord - 1).unwrap_or(usize::MAX);
    let rows = rows.into_iter();
    Ok(rows.map(|row| (at(row.ord), (row.id, row.count))).collect())
}

async fn insert(
    connection: &mut PgConnection,
    broker: &BrokerId,
    new: &[(Notification, Option<String>)],
) -> sqlx::Result<()> {
    let said = || new.iter().map(|(notification, _)| &notification.said);
    let module = |said: &'_ Said| said.record.clone().map(|(module, _)| module);
    let ids: Vec<_> = new.iter().map(|(one, _)| one.id).collect();
    let counts: Vec<_> = new.iter().map(|(one, _)| one.count).collect();
    let times: Vec<_> = new.iter().map(|(one, _)| one.at).collect();
    let audiences: Vec<_> = said().map(|said| said.audience.to_string()).collect();
    let levels: Vec<_> = said().map(|said| said.level.as_str()).collect();
    let kinds: Vec<_> = said().map(|said| said.kind.map(Kind::as_str)).collect();
    let subjects: Vec<_> = new.iter().map(|(_, subject)| subject.as_deref()).collect();
    let systems: Vec<_> = said().map(|said| said.system.map(System::as_str)).collect();
    let titles: Vec<_> = said().map(|said| said.title.as_str()).collect();
    let bodies: Vec<_> = said().map(|said| said.body.as_deref()).collect();
    let modules: Vec<_> = said().map(module).collect();
    let modules: Vec<_> = modules
        .iter()
        .map(|m| m.as_ref().map(ModuleName::as_str))
        .collect();
    let records = said().map(|said| said.record.as_ref()?.1.as_ref());
    let records: Vec<_> = records.map(|record| record.map(RecordId::as_str)).collect();
    let users: Vec<_> = said()
        .map(|said| said.user.as_ref().map(UserId::as_str))
        .collect();
    sqlx::query!(
        "insert into porchlight.notifications (broker_id, id, audience, level, kind, subject, system,
             title, body, module, record_id, user_id, count, created_at, told_at)
         select $1, id, audience, level, kind, subject, system, title, body, module, record_id,
             user_id, count, at, at
         from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[],
                 $14::timestamptz[])
             as n(id, audience, level, kind, subject, system, title, body, module, record_id,
                 user_id, count, at)",
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
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Unread ones say something newer.
async fn rewrite(
    connection: &mut PgConnection,
    broker: &BrokerId,
    again: &[Notification],
) -> sqlx::Result<()> {
    if again.is_empty() {
        return Ok(());
    }
    let said = || again.iter().map(|notification| &notification.said);
    let ids: Vec<_> = again.iter().map(|one| one.id).collect();
    let counts: Vec<_> = again.iter().map(|one| one.count).collect();
    let times: Vec<_> = again.iter().map(|one| one.at).collect();
    let levels: Vec<_> = said().map(|said| said.level.as_str()).collect();
    let titles: Vec<_> = said().map(|said| said.title.as_str()).collect();
    let bodies: Vec<_> = said().map(|said| said.body.as_deref()).collect();
    let users: Vec<_> = said()
        .map(|said| said.user.as_ref().map(UserId::as_str))
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
