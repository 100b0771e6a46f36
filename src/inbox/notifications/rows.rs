//! Writes the rows of notifications.

use sqlx::PgConnection;

use super::notification::{Notification, NotificationKind, SystemNotice};
use crate::platform::{BrokerId, UserId};

/// A notification to insert.
pub(super) struct NewNotificationRow {
    pub(super) notification: Notification,
    pub(super) subject: Option<String>,
    pub(super) posted_by: Option<UserId>,
}

pub(super) async fn insert(
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
pub(super) async fn update(
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
