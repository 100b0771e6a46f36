//! The kinds of notifications that a user wants: all of them, until they turn one off.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::PgConnection;

use super::notification::NotificationKind;
use super::{NotificationError, Notifications};
use crate::identity::Caller;
use crate::platform::{BrokerId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Preferences(pub BTreeMap<NotificationKind, bool>);

impl Notifications {
    pub async fn preferences(&self, caller: &Caller) -> Result<Preferences, NotificationError> {
        let mut connection = self.pool.acquire().await?;
        Ok(find(&mut connection, caller).await?)
    }

    /// Stores `changes`, and returns all preferences.
    pub async fn set_preferences(
        &self,
        caller: &Caller,
        changes: &Preferences,
    ) -> Result<Preferences, NotificationError> {
        let (kinds, values): (Vec<_>, Vec<_>) = changes
            .0
            .iter()
            .map(|(kind, is_on)| (kind.as_str(), *is_on))
            .unzip();
        let mut connection = self.pool.acquire().await?;
        sqlx::query!(
            "insert into porchlight.notification_preferences (broker_id, user_id, kind, is_on)
             select $1, $2, kind, is_on from unnest($3::text[], $4::boolean[]) as p(kind, is_on)
             order by kind
             on conflict (broker_id, user_id, kind) do update set is_on = excluded.is_on",
            caller.broker.as_str(),
            caller.user.as_str(),
            &kinds as &[&str],
            &values,
        )
        .execute(&mut *connection)
        .await?;
        Ok(find(&mut connection, caller).await?)
    }
}

async fn find(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<Preferences> {
    let user = std::slice::from_ref(&caller.user);
    let off = unwanted(connection, &caller.broker, user).await?;
    let is_on = |kind: &NotificationKind| (*kind, !off.contains(&(caller.user.clone(), *kind)));
    Ok(Preferences(
        NotificationKind::ALL.iter().map(is_on).collect(),
    ))
}

/// The kinds that these users have turned off.
pub(super) async fn unwanted(
    connection: &mut PgConnection,
    broker: &BrokerId,
    users: &[UserId],
) -> sqlx::Result<BTreeSet<(UserId, NotificationKind)>> {
    let ids: Vec<_> = users.iter().map(UserId::as_str).collect();
    let rows = sqlx::query!(
        "select user_id, kind from porchlight.notification_preferences
         where broker_id = $1 and user_id = any($2) and not is_on",
        broker.as_str(),
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .filter_map(|row| Some((UserId::parse(&row.user_id).ok()?, row.kind.parse().ok()?)))
        .collect())
}
