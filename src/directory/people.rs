//! The names and teams of users. They come from tokens, and are stored because others need them: the
//! readers of activity and notifications, and the instances that count unread notifications.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::identity::UserProfile;
use crate::log::Audience;
use crate::platform::database::may_succeed_later;
use crate::platform::{ArrivalRush, BrokerId, DedicatedConnection, TeamId, UserId};
use crate::platform::{RETRY_PAUSE, take_more};

/// Profiles that can wait. Further ones are dropped, and come again when their token is verified
/// again.
pub const WAITING: usize = 16_384;
const MOST_AT_ONCE: usize = 256;
/// The least time between two writes.
const PAUSE: Duration = Duration::from_millis(20);
/// After each user that was written, the next write waits so long: when thousands arrive at once, Postgres must
/// not take the CPU that they need.
const PAUSE_PER_USER: Duration = Duration::from_micros(500);
/// Users that are remembered as written: with those that come at once, as many as fit a map of 2,048 places. When there
/// are more, all of them are forgotten, and one whose token is verified again is written again, together with others.
const MOST_WRITTEN: usize = 1_792 - MOST_AT_ONCE;

/// Writes the profiles that the verifier sends.
#[derive(Debug)]
pub struct PeopleWriter {
    pub database: DedicatedConnection,
    pub profiles: mpsc::Receiver<UserProfile>,
    pub rush: ArrivalRush,
    pub stop: CancellationToken,
}

/// The last written name of each user.
type WrittenNames = FxHashMap<(BrokerId, UserId), Option<Arc<str>>>;

impl PeopleWriter {
    pub async fn run(mut self) {
        let (mut written, mut waiting) = (WrittenNames::default(), Vec::new());
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                is_more = take_more(&mut self.profiles, &mut waiting, MOST_AT_ONCE) => if !is_more {
                    // No verifier is left. A background task must not end before the service.
                    return self.stop.cancelled().await;
                },
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.rush.end() => {}
            }
            let new = unwritten(&mut written, waiting.drain(..));
            let pause = PAUSE_PER_USER * u32::try_from(new.len()).unwrap_or(u32::MAX);
            let mut pause = pause.max(PAUSE);
            if let Err(error) = self.write(&new).await {
                tracing::warn!(%error, "names of users could not be written");
                written.clear();
                pause = RETRY_PAUSE;
                // No profile comes again while its token is known.
                if may_succeed_later(&error) {
                    waiting = new;
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn write(&mut self, people: &[UserProfile]) -> sqlx::Result<()> {
        if people.is_empty() {
            return Ok(());
        }
        let write = async |connection: &mut PgConnection| {
            // The teams first: a notification for the user may be counted at once.
            write_teams(connection, people).await?;
            write_names(connection, people).await
        };
        self.database.run(write).await
    }
}

/// The users that this instance has not written with this name, each with the last profile. They are
/// in order, so that transactions do not deadlock.
fn unwritten(
    written: &mut WrittenNames,
    waiting: impl Iterator<Item = UserProfile>,
) -> Vec<UserProfile> {
    if written.len() >= MOST_WRITTEN {
        written.clear();
    }
    let mut new = BTreeMap::new();
    for profile in waiting {
        let key = (profile.broker.clone(), profile.user.clone());
        let known = written.get(&key);
        if known.is_none_or(|known| profile.name.is_some() && *known != profile.name) {
            written.insert(key.clone(), profile.name.clone());
            new.insert(key, profile);
        }
    }
    new.into_values().collect()
}

/// Writes the names of users. Each user must be in `people` once.
pub async fn write_names(
    connection: &mut PgConnection,
    people: &[UserProfile],
) -> sqlx::Result<()> {
    let with_name = || people.iter().filter(|one| one.name.is_some());
    let brokers: Vec<_> = with_name().map(|one| one.broker.as_str()).collect();
    let users: Vec<_> = with_name().map(|one| one.user.as_str()).collect();
    let names: Vec<_> = with_name().filter_map(|one| one.name.as_deref()).collect();
    if names.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into porchlight.people as p (broker_id, user_id, name)
         select * from unnest($1::text[], $2::text[], $3::text[]) as n(broker_id, user_id, name)
         order by broker_id, user_id
         on conflict (broker_id, user_id) do update set name = excluded.name
             where p.name <> excluded.name",
        &brokers as &[&str],
        &users as &[&str],
        &names as &[&str],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes the teams of users who have none yet. An event with the number of a user's unread
/// notifications is made by an instance that does not know the user's teams.
async fn write_teams(connection: &mut PgConnection, people: &[UserProfile]) -> sqlx::Result<()> {
    let brokers: Vec<_> = people.iter().map(|one| one.broker.as_str()).collect();
    let users: Vec<_> = people.iter().map(|one| one.user.as_str()).collect();
    let audiences = |one: &UserProfile| {
        let mut teams: Vec<_> = one
            .teams
            .iter()
            .map(|team| format!("team:{team}"))
            .collect();
        teams.sort_unstable();
        teams.join(" ")
    };
    let teams: Vec<_> = people.iter().map(audiences).collect();
    sqlx::query!(
        "insert into porchlight.notification_marks as m (broker_id, user_id, teams)
         select broker_id, user_id, string_to_array(teams, ' ')
         from unnest($1::text[], $2::text[], $3::text[]) as p(broker_id, user_id, teams)
         order by broker_id, user_id
         on conflict (broker_id, user_id) do update set teams = excluded.teams
             where m.teams is null",
        &brokers as &[&str],
        &users as &[&str],
        &teams,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The known names of these users.
pub async fn names(
    connection: &mut PgConnection,
    broker: &BrokerId,
    users: &[UserId],
) -> sqlx::Result<Vec<(UserId, String)>> {
    let ids: Vec<_> = users.iter().map(UserId::as_str).collect();
    let rows = sqlx::query!(
        "select user_id, name from porchlight.people where broker_id = $1 and user_id = any($2)",
        broker.as_str(),
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let named = rows.into_iter().filter_map(|row| {
        let user = UserId::parse(&row.user_id).ok()?;
        Some((user, row.name))
    });
    Ok(named.collect())
}

/// The teams of some users, as the service has last seen them in tokens.
#[derive(Debug, Default)]
pub struct KnownTeams(FxHashMap<UserId, Vec<TeamId>>);

impl KnownTeams {
    /// Whether a user receives what goes to this audience. Nothing is known of users who have never sent a token.
    /// These count as members of the team that an event names.
    #[must_use]
    pub fn may_receive(&self, user: &UserId, audience: &Audience) -> bool {
        match audience {
            Audience::Broker => true,
            Audience::Team(team) => self.0.get(user).is_none_or(|teams| teams.contains(team)),
            Audience::User(only) => only == user,
            Audience::Workers => false,
        }
    }

    /// The teams of a user, none if they are not known.
    #[must_use]
    pub fn of(&self, user: &UserId) -> &[TeamId] {
        self.0.get(user).map_or(&[], Vec::as_slice)
    }
}

/// The known teams of these users. The newest token that names teams tells them, or else the last request of
/// the user. A team that a revocation takes out of this token is not among them. Requests have no time of issue: their
/// tokens would tell the teams, so a revocation always counts.
pub async fn teams(
    connection: &mut PgConnection,
    broker: &BrokerId,
    users: &[UserId],
) -> sqlx::Result<KnownTeams> {
    let ids: Vec<_> = users.iter().map(UserId::as_str).collect();
    let rows = sqlx::query!(
        r#"select u.user_id as "user_id!",
               case when m.teams is not null then array(
                   select its.team from unnest(m.teams) as its(team) where not exists (
                       select from porchlight.revocations r
                       where r.broker_id = $1 and r.kind = 'member' and r.subject = u.user_id
                           and r.team = its.team and r.issued_before > m.as_of)) end as "newest?",
               case when n.teams is not null then array(
                   select told.audience from unnest(n.teams) as told(audience) where not exists (
                       select from porchlight.revocations r
                       where r.broker_id = $1 and r.kind = 'member' and r.subject = u.user_id
                           and r.team = substr(told.audience, length('team:') + 1))) end as last
           from unnest($2::text[]) as u(user_id)
           left join porchlight.memberships m on m.broker_id = $1 and m.user_id = u.user_id
           left join porchlight.notification_marks n on n.broker_id = $1 and n.user_id = u.user_id"#,
        broker.as_str(),
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        let user = UserId::parse(&row.user_id).ok()?;
        let newest = row
            .newest
            .map(|teams| ids_of(teams.iter().map(String::as_str)));
        // These are stored as audiences.
        let last = row
            .last
            .map(|teams| ids_of(teams.iter().filter_map(|one| one.strip_prefix("team:"))));
        Some((user, newest.or(last)?))
    });
    Ok(KnownTeams(known.collect()))
}

fn ids_of<'a>(teams: impl Iterator<Item = &'a str>) -> Vec<TeamId> {
    teams.filter_map(|team| team.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(user: &str, name: &str) -> UserProfile {
        UserProfile {
            broker: "b".parse().unwrap(),
            user: user.parse().unwrap(),
            teams: Arc::from([]),
            name: (!name.is_empty()).then(|| name.into()),
        }
    }

    #[test]
    fn only_what_is_new_is_written_and_the_last_name_counts() {
        let mut written = WrittenNames::default();
        let mut names = |profiles: &[(&str, &str)]| -> Vec<String> {
            let profiles = profiles.iter().map(|(user, name)| profile(user, name));
            let new = unwritten(&mut written, profiles);
            let name = |one: &UserProfile| one.name.as_deref().unwrap_or_default().to_owned();
            new.iter().map(name).collect()
        };
        let many = [("u", "Al"), ("v", "Bo"), ("u", "Ann")];
        assert_eq!(names(&many), ["Ann", "Bo"]);
        assert_eq!(names(&[("v", "Bo"), ("u", "Ann")]), [""; 0]);
        assert_eq!(names(&[("v", "Bob")]), ["Bob"]);
        // A profile without a name is written once, and does not replace a name.
        assert_eq!(names(&[("w", ""), ("w", ""), ("v", "")]), [""]);
        assert_eq!(names(&[("w", ""), ("w", "Cy"), ("w", "")]), ["Cy"]);
    }
}
