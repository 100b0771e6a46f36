//! Sending notifications: a draft becomes a new notification, or is added to an unread one of its subject.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::notification::{Notification, NotificationContent, NotificationKind};
use super::rows::{NewNotificationRow, insert, update};
use super::sequence::{lock_readers, reserve_ids};
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
    let mut readers = Readers::lock(connection, broker, &drafts, ids.first - 1, limits).await?;
    let mut sending = Sending::default();
    for ((i, draft), id) in drafts.into_iter().enumerate().zip(ids.first..) {
        let older = readers.older.remove(&i);
        if older.is_some() || readers.room.take(&draft.content.audience) {
            sending.add(draft, id, ids.now, older.as_ref(), &readers.room);
        }
    }
    insert(connection, broker, &sending.new).await?;
    update(connection, broker, &sending.repeated).await?;
    Ok(sending.sent)
}

/// What is known of the readers of some drafts. Nobody else changes it until the transaction ends.
#[derive(Default)]
struct Readers {
    room: UnreadRoom,
    /// By the index of the draft that is added to it.
    older: BTreeMap<usize, OlderNotification>,
}

impl Readers {
    async fn lock(
        connection: &mut PgConnection,
        broker: &BrokerId,
        drafts: &[NotificationDraft],
        newest_id: i64,
        limits: UnreadLimits,
    ) -> sqlx::Result<Self> {
        let audiences = drafts.iter().map(|draft| &draft.content.audience);
        let mut users: Vec<&str> = audiences.filter_map(reader).collect();
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return Ok(Self::default());
        }
        lock_readers(connection, broker, &users).await?;
        let unread = unread::store_all(connection, broker, &users, newest_id).await?;
        Ok(Self {
            room: UnreadRoom::read(connection, broker, unread, limits).await?,
            older: find_older(connection, broker, drafts).await?,
        })
    }
}

/// What is to be stored, and what is to be told.
#[derive(Default)]
struct Sending {
    new: Vec<NewNotificationRow>,
    repeated: Vec<Notification>,
    sent: Vec<SentNotification>,
}

impl Sending {
    fn add(
        &mut self,
        draft: NotificationDraft,
        id: i64,
        now: OffsetDateTime,
        older: Option<&OlderNotification>,
        room: &UnreadRoom,
    ) {
        let mut notification = Notification {
            id: older.map_or(id, |older| older.id),
            count: draft.count + older.map_or(0, |older| older.count),
            content: draft.content,
            at: now,
        };
        let count = notification.count;
        draft.repetition.apply(&mut notification.content, count);
        let unread = room.unread(&notification.content.audience);
        let whole = unread.filter(|unread| unread.is_whole);
        self.sent.push(SentNotification {
            event: notification.event(whole.map(|unread| unread.count)),
            unread: unread.map(|unread| unread.count),
            notification: notification.clone(),
        });
        if older.is_some() {
            self.repeated.push(notification);
        } else {
            self.new.push(NewNotificationRow {
                notification,
                subject: draft.subject,
                posted_by: draft.posted_by,
            });
        }
    }
}

/// The user, if the audience is one user.
fn reader(audience: &Audience) -> Option<&str> {
    match audience {
        Audience::User(user) => Some(user.as_str()),
        _ => None,
    }
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
