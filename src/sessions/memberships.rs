//! Users who have left a team, as a newer token of theirs tells.
//!
//! The teams in the newest token of each user are stored. A token that was issued later and has fewer
//! teams revokes the others in all earlier tokens, as if a service had told so.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::open::SessionUser;
use super::{Sessions, store};
use crate::identity::{Caller, Revocation, Revoked, Role};
use crate::platform::{ArrivalRush, BackgroundTask, DedicatedConnection, TeamId};

/// Tokens that may wait. Further ones are dropped, and come again when they are verified again.
const WAITING: usize = 16_384;
const MOST_AT_ONCE: usize = 2_048;
/// The pause between two comparisons. After a restart all users come back at once, and are compared together.
const INTERVAL: Duration = Duration::from_millis(100);
/// After each token that was compared, the next comparison waits so long: Postgres must not take the CPU that
/// arriving clients need.
const PAUSE_PER_TOKEN: Duration = Duration::from_micros(200);
/// Users whose teams are known: as many as fit a map of 2,048 places. When there are more, all of them are forgotten,
/// and a token of theirs that is verified again is compared with the table, together with others.
const MOST_KNOWN: usize = 1_792;

/// The teams in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TeamsOfToken {
    /// Those of the caller: they are shared.
    teams: Arc<[TeamId]>,
    /// When the token was issued.
    as_of: OffsetDateTime,
}

/// The teams in a token of a user.
#[derive(Debug)]
pub(super) struct SeenTeams {
    user: SessionUser,
    seen: TeamsOfToken,
}

pub struct MembershipParts {
    pub database: DedicatedConnection,
    pub sessions: Sessions,
    pub rush: ArrivalRush,
    pub stop: CancellationToken,
}

struct MembershipWatch {
    parts: MembershipParts,
    tokens: mpsc::Receiver<SeenTeams>,
    known: FxHashMap<SessionUser, TeamsOfToken>,
}

impl Sessions {
    /// Notes the teams of a token that was verified now. Only people have teams to leave, and only a
    /// token that has both a time and a claim of teams tells anything.
    pub fn saw(&self, caller: &Caller) {
        let is_person = matches!(caller.role, Role::Agent | Role::Admin);
        let credential = &caller.credential;
        if let Some(tokens) = self.0.seen_teams.get()
            && let Some(as_of) = credential.issued_at
            && is_person
            && credential.names_teams
        {
            // When the channel is full, the token tells it when it is verified again.
            let _ = tokens.try_send(SeenTeams {
                user: SessionUser::of(caller),
                seen: TeamsOfToken {
                    teams: Arc::clone(&caller.teams),
                    as_of,
                },
            });
        }
    }

    /// The task that compares tokens of the same user.
    #[must_use]
    pub fn watch_memberships(&self, parts: MembershipParts) -> BackgroundTask {
        let queues = &self.0.parts.queues;
        let (sender, tokens) = queues.channel("memberships", WAITING);
        // Only the first channel gets tokens.
        let _ = self.0.seen_teams.set(sender);
        let watch = MembershipWatch {
            parts,
            tokens,
            known: FxHashMap::default(),
        };
        BackgroundTask::new("the watch of memberships", watch.run())
    }
}

impl MembershipWatch {
    async fn run(mut self) {
        let (stop, mut waiting) = (self.parts.stop.clone(), Vec::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // The sender is in the sessions, which this task has.
                _ = self.tokens.recv_many(&mut waiting, MOST_AT_ONCE) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.parts.rush.end() => {}
            }
            let news = self.news(waiting.drain(..));
            let pause = PAUSE_PER_TOKEN * u32::try_from(news.len()).unwrap_or(u32::MAX);
            if let Err(error) = self.compare(news).await {
                tracing::warn!(%error, "the teams of users could not be compared");
                self.known.clear();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause.max(INTERVAL)) => {}
            }
        }
    }

    /// Tokens with other teams than this instance knows, the newest of each user.
    fn news(
        &mut self,
        seen: impl Iterator<Item = SeenTeams>,
    ) -> FxHashMap<SessionUser, TeamsOfToken> {
        let mut news = FxHashMap::default();
        for SeenTeams { user, seen } in seen {
            if self.known.len() >= MOST_KNOWN {
                self.known.clear();
            }
            let known = self.known.get(&user).or_else(|| news.get(&user));
            if known.is_some_and(|known| known.as_of >= seen.as_of) {
                continue;
            }
            let is_same = known.is_some_and(|known| known.teams == seen.teams);
            self.known.insert(user.clone(), seen.clone());
            if !is_same {
                news.insert(user, seen);
            }
        }
        news
    }

    async fn compare(&mut self, news: FxHashMap<SessionUser, TeamsOfToken>) -> sqlx::Result<()> {
        if news.is_empty() {
            return Ok(());
        }
        let news: Vec<_> = news.into_iter().collect();
        let longest = self.parts.sessions.0.parts.verifier.max_lifetime();
        let exchange = async |c: &mut PgConnection| exchange(c, &news, longest).await;
        for revocation in self.parts.database.run(exchange).await? {
            self.parts.sessions.apply(&revocation);
            self.parts.sessions.0.parts.peers.sessions();
            let (broker, what) = (&revocation.broker, &revocation.what);
            tracing::info!(%broker, ?what, "a newer token has fewer teams");
        }
        Ok(())
    }
}

/// Stores newer teams, and revokes those that they lack.
async fn exchange(
    connection: &mut PgConnection,
    news: &[(SessionUser, TeamsOfToken)],
    longest: Option<time::Duration>,
) -> sqlx::Result<Vec<Revocation>> {
    let mut revocations = Vec::new();
    let stored = stored(connection, news).await?;
    for (user, new) in news {
        let Some(old) = stored.get(user).filter(|old| old.as_of < new.as_of) else {
            continue;
        };
        for team in old.teams.iter().filter(|team| !new.teams.contains(team)) {
            let revocation = Revocation {
                broker: user.broker.clone(),
                what: Revoked::Member {
                    user: user.user.clone(),
                    team: team.clone(),
                    issued_before: new.as_of,
                },
                kept_until: longest.map(|longest| new.as_of + longest),
            };
            revocations.extend(store::write_revocation(connection, &revocation).await?);
        }
    }
    // The teams come last: if this fails, the next comparison finds the same.
    store_teams(connection, news).await?;
    Ok(revocations)
}

async fn stored(
    connection: &mut PgConnection,
    news: &[(SessionUser, TeamsOfToken)],
) -> sqlx::Result<FxHashMap<SessionUser, TeamsOfToken>> {
    let brokers: Vec<_> = news.iter().map(|(user, _)| user.broker.as_str()).collect();
    let users: Vec<_> = news.iter().map(|(user, _)| user.user.as_str()).collect();
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

async fn store_teams(
    connection: &mut PgConnection,
    news: &[(SessionUser, TeamsOfToken)],
) -> sqlx::Result<()> {
    let brokers: Vec<_> = news.iter().map(|(user, _)| user.broker.as_str()).collect();
    let users: Vec<_> = news.iter().map(|(user, _)| user.user.as_str()).collect();
    let times: Vec<_> = news.iter().map(|(_, seen)| seen.as_of).collect();
    // Names of teams contain no spaces.
    let teams = news.iter().map(|(_, seen)| {
        let teams: Vec<_> = seen.teams.iter().map(TeamId::as_str).collect();
        teams.join(" ")
    });
    let teams: Vec<_> = teams.collect();
    sqlx::query!(
        "insert into porchlight.memberships as m (broker_id, user_id, teams, as_of)
         select broker_id, user_id, string_to_array(teams, ' '), as_of
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
             as n(broker_id, user_id, teams, as_of)
         order by broker_id, user_id
         on conflict (broker_id, user_id) do update set teams = excluded.teams, as_of = excluded.as_of
             where m.as_of < excluded.as_of",
        &brokers as &[&str],
        &users as &[&str],
        &teams,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}
