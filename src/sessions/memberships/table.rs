//! The newest token of each user in its table.

use rustc_hash::FxHashSet;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::NewsByUser;
use super::news::{TeamNews, TeamsOfToken};
use crate::platform::TeamId;
use crate::sessions::SessionUser;

/// The tokens of these users that are stored.
pub(super) async fn stored(
    connection: &mut PgConnection,
    news: &NewsByUser,
) -> sqlx::Result<Vec<(SessionUser, TeamsOfToken)>> {
    let brokers: Vec<_> = news.keys().map(|user| user.broker.as_str()).collect();
    let users: Vec<_> = news.keys().map(|user| user.user.as_str()).collect();
    let rows = sqlx::query!(
        "select m.broker_id, m.user_id, m.teams, m.as_of
         from unnest($1::text[], $2::text[]) as n(broker_id, user_id)
         join porchlight.memberships m using (broker_id, user_id)",
        &brokers as &[&str],
        &users as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter().filter_map(|row| {
        let user = SessionUser {
            broker: row.broker_id.parse().ok()?,
            user: row.user_id.parse().ok()?,
        };
        let teams = row.teams.iter().filter_map(|team| team.parse().ok());
        let teams = TeamsOfToken {
            teams: teams.collect(),
            as_of: row.as_of,
        };
        Some((user, teams))
    });
    Ok(stored.collect())
}

/// Stores the newest tokens. A row that has changed since it was read stays as it is: what it has now was not compared.
/// Returns the users of such rows.
pub(super) async fn store_teams(
    connection: &mut PgConnection,
    news: &NewsByUser,
) -> sqlx::Result<FxHashSet<SessionUser>> {
    let to_store = || news.iter().filter(|(_, of_user)| of_user.is_to_store());
    let (first, later): (Vec<_>, Vec<_>) =
        to_store().partition(|(_, of_user)| of_user.stored_as_of.is_none());
    let mut overtaken: FxHashSet<_> = to_store().map(|(user, _)| user.clone()).collect();
    for stored in [
        insert_teams(connection, &TeamColumns::of(&first)).await?,
        update_teams(connection, &TeamColumns::of(&later)).await?,
    ]
    .concat()
    {
        overtaken.remove(&stored);
    }
    Ok(overtaken)
}

/// Rows of the newest tokens, column by column.
#[derive(Default)]
struct TeamColumns<'a> {
    brokers: Vec<&'a str>,
    users: Vec<&'a str>,
    teams: Vec<String>,
    times: Vec<OffsetDateTime>,
    stored_times: Vec<OffsetDateTime>,
}

impl<'a> TeamColumns<'a> {
    fn of(news: &[(&'a SessionUser, &'a TeamNews)]) -> Self {
        let mut columns = Self::default();
        for (
            user,
            TeamNews {
                newest,
                stored_as_of,
                ..
            },
        ) in news
        {
            columns.brokers.push(user.broker.as_str());
            columns.users.push(user.user.as_str());
            // Names of teams contain no spaces.
            let teams: Vec<_> = newest.teams.iter().map(TeamId::as_str).collect();
            columns.teams.push(teams.join(" "));
            columns.times.push(newest.as_of);
            columns.stored_times.extend(*stored_as_of);
        }
        columns
    }
}

/// The key of a row that was stored.
struct StoredKey {
    broker_id: String,
    user_id: String,
}

fn users(keys: Vec<StoredKey>) -> Vec<SessionUser> {
    let users = keys.into_iter().filter_map(|key| {
        Some(SessionUser {
            broker: key.broker_id.parse().ok()?,
            user: key.user_id.parse().ok()?,
        })
    });
    users.collect()
}

async fn insert_teams(
    connection: &mut PgConnection,
    columns: &TeamColumns<'_>,
) -> sqlx::Result<Vec<SessionUser>> {
    if columns.users.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        StoredKey,
        "insert into porchlight.memberships as m (broker_id, user_id, teams, as_of)
         select broker_id, user_id, string_to_array(teams, ' '), as_of
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
             as n(broker_id, user_id, teams, as_of)
         order by broker_id, user_id
         on conflict (broker_id, user_id) do nothing
         returning m.broker_id, m.user_id",
        &columns.brokers as &[&str],
        &columns.users as &[&str],
        &columns.teams,
        &columns.times,
    )
    .fetch_all(connection)
    .await
    .map(users)
}

/// Two instances that wait for each other's rows are freed by Postgres, and the one that fails compares again.
async fn update_teams(
    connection: &mut PgConnection,
    columns: &TeamColumns<'_>,
) -> sqlx::Result<Vec<SessionUser>> {
    if columns.users.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        StoredKey,
        "update porchlight.memberships m set teams = string_to_array(n.teams, ' '), as_of = n.as_of
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
             as n(broker_id, user_id, teams, as_of, stored_as_of)
         where m.broker_id = n.broker_id and m.user_id = n.user_id and m.as_of = n.stored_as_of
         returning m.broker_id, m.user_id",
        &columns.brokers as &[&str],
        &columns.users as &[&str],
        &columns.teams,
        &columns.times,
        &columns.stored_times,
    )
    .fetch_all(connection)
    .await
    .map(users)
}
