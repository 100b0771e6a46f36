//! What users are called, and whom they work with. Their tokens say it; it is kept, because those
//! who read of somebody, and those who count for them, are not those whose token says it.

use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::identity::Introduction;
use crate::platform::DedicatedConnection;
use crate::platform::{BrokerId, UserId};

/// Introductions that may wait; one more is lost, and comes again with the next look at its token.
pub const WAITING: usize = 1_024;
const MOST_AT_ONCE: usize = 256;
/// From one write to the next.
const PAUSE: Duration = Duration::from_millis(20);
/// Names that are remembered as written; then all of them are forgotten.
const MOST_WRITTEN: usize = 50_000;

/// Writes down who has come.
#[derive(Debug)]
pub struct PeopleKeeper {
    pub database: DedicatedConnection,
    pub introductions: mpsc::Receiver<Introduction>,
    pub stop: CancellationToken,
}

type Written = FxHashMap<(BrokerId, UserId), Option<std::sync::Arc<str>>>;

impl PeopleKeeper {
    /// Writes until it is stopped.
    pub async fn run(mut self) {
        let (mut written, mut waiting) = (Written::default(), Vec::new());
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                n = self.introductions.recv_many(&mut waiting, MOST_AT_ONCE) => if n == 0 {
                    // Nobody will ever be introduced; the task ends when the service does.
                    return self.stop.cancelled().await;
                },
            }
            let new = unwritten(&mut written, waiting.drain(..));
            if let Err(error) = self.write(&new).await {
                tracing::warn!(%error, "names of people could not be kept");
                written.clear();
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn write(&mut self, people: &[Introduction]) -> sqlx::Result<()> {
        if people.is_empty() {
            return Ok(());
        }
        let keep = async |connection: &mut PgConnection| {
            // These may be waited for: whoever has come may be told something at once.
            keep_teams(connection, people).await?;
            keep_names(connection, people).await
        };
        self.database.run(keep).await
    }
}

/// Those whom this instance has not written yet, or not by that name, each with the last name, in
/// order.
fn unwritten(
    written: &mut Written,
    waiting: impl Iterator<Item = Introduction>,
) -> Vec<Introduction> {
    if written.len() >= MOST_WRITTEN {
        written.clear();
    }
    let mut new = std::collections::BTreeMap::new();
    for one in waiting {
        let key = (one.broker.clone(), one.user.clone());
        let known = written.get(&key);
        if known.is_none_or(|known| one.name.is_some() && *known != one.name) {
            written.insert(key.clone(), one.name.clone());
            new.insert(key, one);
        }
    }
    new.into_values().collect()
}

/// Writes down what these people are called; each of them once.
pub async fn keep_names(
    connection: &mut PgConnection,
    people: &[Introduction],
) -> sqlx::Result<()> {
    let called = || people.iter().filter(|one| one.name.is_some());
    let brokers: Vec<_> = called().map(|one| one.broker.as_str()).collect();
    let users: Vec<_> = called().map(|one| one.user.as_str()).collect();
    let names: Vec<_> = called().filter_map(|one| one.name.as_deref()).collect();
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

/// Whose unread notifications are counted for these people, until they ask themselves: what is told
/// to one user is told by somebody who does not know the teams.
async fn keep_teams(connection: &mut PgConnection, people: &[Introduction]) -> sqlx::Result<()> {
    let brokers: Vec<_> = people.iter().map(|one| one.broker.as_str()).collect();
    let users: Vec<_> = people.iter().map(|one| one.user.as_str()).collect();
    let audiences = |one: &Introduction| {
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

/// What these users are called, as far as anybody knows.
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
    let parsed = |(id, name): (String, String)| Some((UserId::parse(&id).ok()?, name));
    let rows = rows.into_iter().map(|row| (row.user_id, row.name));
    Ok(rows.filter_map(parsed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(user: &str, name: &str) -> Introduction {
        Introduction {
            broker: "b".parse().unwrap(),
            user: user.parse().unwrap(),
            teams: std::sync::Arc::from([]),
            name: (!name.is_empty()).then(|| name.into()),
        }
    }

    #[test]
    fn only_what_is_new_is_written_and_the_last_name_counts() {
        let mut written = Written::default();
        let mut names = |introductions: &[(&str, &str)]| -> Vec<String> {
            let introductions = introductions.iter().map(|(user, name)| called(user, name));
            let new = unwritten(&mut written, introductions);
            let name = |one: &Introduction| one.name.as_deref().unwrap_or_default().to_owned();
            new.iter().map(name).collect()
        };
        let many = [("u", "Al"), ("v", "Bo"), ("u", "Ann")];
        assert_eq!(names(&many), ["Ann", "Bo"]);
        assert_eq!(names(&[("v", "Bo"), ("u", "Ann")]), [""; 0]);
        assert_eq!(names(&[("v", "Bob")]), ["Bob"]);
        // Who says no name has come all the same, and has not lost theirs.
        assert_eq!(names(&[("w", ""), ("w", ""), ("v", "")]), [""]);
        assert_eq!(names(&[("w", ""), ("w", "Cy"), ("w", "")]), ["Cy"]);
    }
}
