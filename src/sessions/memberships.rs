//! Users who have left a team, as a newer token of theirs tells.
//!
//! The teams in the newest token of each user are stored. A token that was issued later and has fewer
//! teams revokes the others in all earlier tokens, as if a service had told so, in whatever order they are used.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::open::SessionUser;
use super::{Sessions, store};
use crate::identity::{Caller, Revocation, Revoked, Role};
use crate::platform::database::may_succeed_later;
use crate::platform::{ArrivalRush, BackgroundTask, DedicatedConnection};
use crate::platform::{RETRY_PAUSE, take_more};

mod news;
mod table;

use news::{TeamNews, TeamsOfToken};
use table::{store_teams, stored};

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

/// The teams in a token of a user.
#[derive(Debug)]
pub(super) struct SeenTeams {
    user: SessionUser,
    seen: TeamsOfToken,
}

type NewsByUser = FxHashMap<SessionUser, TeamNews>;

pub struct MembershipParts {
    pub database: DedicatedConnection,
    pub sessions: Sessions,
    pub rush: ArrivalRush,
    pub stop: CancellationToken,
}

struct MembershipWatch {
    parts: MembershipParts,
    tokens: mpsc::Receiver<SeenTeams>,
    /// The newest tokens that were compared.
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
                _ = take_more(&mut self.tokens, &mut waiting, MOST_AT_ONCE) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.parts.rush.end() => {}
            }
            let pause = self.work(&mut waiting).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Compares tokens, and leaves those that must be compared again. Returns the pause until then.
    async fn work(&mut self, waiting: &mut Vec<SeenTeams>) -> Duration {
        let news = self.news(waiting);
        let pause = PAUSE_PER_TOKEN * u32::try_from(news.len()).unwrap_or(u32::MAX);
        match self.compare(news).await {
            Ok(overtaken) => {
                waiting.retain(|one| overtaken.contains(&one.user));
                pause.max(INTERVAL)
            }
            Err(error) => {
                tracing::warn!(%error, "the teams of users could not be compared");
                // No token tells it again while it is known.
                if !may_succeed_later(&error) {
                    waiting.clear();
                }
                RETRY_PAUSE
            }
        }
    }

    /// What the tokens tell that this instance does not know.
    fn news(&self, waiting: &[SeenTeams]) -> NewsByUser {
        let mut news = NewsByUser::default();
        for SeenTeams { user, seen } in waiting {
            let known = self.known.get(user);
            if known.is_some_and(|known| known.covers(seen)) {
                continue;
            }
            let of_user = news.entry(user.clone());
            let of_user = of_user.or_insert_with(|| TeamNews::of(known.unwrap_or(seen)));
            of_user.add(seen);
        }
        news
    }

    /// Returns the users of whom another instance has stored a token meanwhile.
    async fn compare(&mut self, mut news: NewsByUser) -> sqlx::Result<FxHashSet<SessionUser>> {
        if news.is_empty() {
            return Ok(FxHashSet::default());
        }
        let longest = self.parts.sessions.0.parts.verifier.max_lifetime();
        let exchange = async |c: &mut PgConnection| exchange(c, &mut news, longest).await;
        let Exchanged {
            revocations,
            overtaken,
        } = self.parts.database.run(exchange).await?;
        for revocation in revocations {
            self.parts.sessions.apply(&revocation);
            self.parts.sessions.0.parts.peers.sessions();
            let (broker, what) = (&revocation.broker, &revocation.what);
            tracing::info!(%broker, ?what, "a newer token has fewer teams");
        }
        for (user, of_user) in news {
            if !overtaken.contains(&user) {
                self.remember(user, of_user.newest);
            }
        }
        Ok(overtaken)
    }

    fn remember(&mut self, user: SessionUser, newest: TeamsOfToken) {
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(user, newest);
    }
}

/// What came of a comparison.
struct Exchanged {
    revocations: Vec<Revocation>,
    overtaken: FxHashSet<SessionUser>,
}

/// Adds what is stored, revokes the teams that the newest tokens lack, and stores these tokens.
async fn exchange(
    connection: &mut PgConnection,
    news: &mut NewsByUser,
    longest: Option<time::Duration>,
) -> sqlx::Result<Exchanged> {
    let mut revocations = Vec::new();
    for (user, stored) in stored(connection, news).await? {
        if let Some(of_user) = news.get_mut(&user) {
            of_user.add_stored(&stored);
        }
    }
    for (user, TeamNews { newest, left, .. }) in &*news {
        for team in left {
            let revocation = Revocation {
                broker: user.broker.clone(),
                what: Revoked::Member {
                    user: user.user.clone(),
                    team: team.clone(),
                    issued_before: newest.as_of,
                },
                kept_until: longest.map(|longest| newest.as_of + longest),
            };
            revocations.extend(store::write_revocation(connection, &revocation).await?);
        }
    }
    // The teams come last: if this fails, the next comparison finds the same.
    let overtaken = store_teams(connection, news).await?;
    Ok(Exchanged {
        revocations,
        overtaken,
    })
}
