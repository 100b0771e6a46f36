//! Revokes tokens.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::Sessions;
use super::store;
use crate::identity::{CLOCK_LEEWAY, Caller, Revocation, Revoked};
use crate::platform::{BrokerId, TeamId, UserId};

/// How far in the future tokens can be revoked in advance.
const MOST_AHEAD: Duration = Duration::days(1);

/// What an admin or a service revokes.
#[derive(Clone, Debug)]
pub enum RevocationTarget {
    Token {
        id: Arc<str>,
        /// When the token ends, if the caller knows it.
        expires_at: Option<OffsetDateTime>,
    },
    User(UserId),
    Member(UserId, TeamId),
    Brokerage,
}

#[derive(Clone, Debug)]
pub struct NewRevocation {
    pub target: RevocationTarget,
    /// Tokens that were issued before; by default those that exist now.
    pub issued_before: Option<OffsetDateTime>,
}

#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    #[error("issuedBefore is more than a day in the future")]
    TooFarAhead,
    #[error(
        "this brokerage has {} revocations of this kind already; revoke users instead of their tokens, or the \
         brokerage instead of its users",
        store::MOST_OF_A_KIND
    )]
    TooMany,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Sessions {
    /// Refuses tokens of the caller's brokerage from now on, and ends what is open with them. Other
    /// instances do the same within a second.
    pub async fn revoke(
        &self,
        caller: &Caller,
        new: &NewRevocation,
    ) -> Result<Revocation, RevocationError> {
        let parts = &self.0.parts;
        let asked = self.revocation(&caller.broker, new)?;
        let mut connection = parts.pool.acquire().await?;
        let stored = store::write_revocation(&mut connection, &asked).await?;
        drop(connection);
        let revocation = stored.ok_or(RevocationError::TooMany)?;
        self.apply(&revocation);
        parts.peers.sessions();
        log(caller, &revocation);
        Ok(revocation)
    }

    /// Refuses the tokens at this instance, and ends what is open with them.
    pub(super) fn apply(&self, revocation: &Revocation) {
        // The set comes first: a stream that opens now finds it.
        self.0.parts.verifier.revocations().add(revocation);
        self.0.open.revoke(revocation);
        if let Revoked::Member { user, team, .. } = &revocation.what
            && let Some(observer) = self.0.observer.get()
        {
            observer.left_team(&revocation.broker, user, team);
        }
    }

    fn revocation(
        &self,
        broker: &BrokerId,
        new: &NewRevocation,
    ) -> Result<Revocation, RevocationError> {
        let now = self.0.parts.clock.now();
        let issued_before = new.issued_before.unwrap_or_else(|| after_second(now));
        if issued_before > now + MOST_AHEAD {
            return Err(RevocationError::TooFarAhead);
        }
        let longest = self.0.parts.verifier.max_lifetime();
        let until = longest.map(|longest| issued_before + longest);
        let (what, kept_until) = match new.target.clone() {
            RevocationTarget::Token { id, expires_at } => {
                // It may be from a clock that is ahead.
                let until = longest.map(|longest| now + longest + CLOCK_LEEWAY);
                (Revoked::Token(id), expires_at.or(until))
            }
            RevocationTarget::User(user) => (
                Revoked::User {
                    user,
                    issued_before,
                },
                until,
            ),
            RevocationTarget::Member(user, team) => (
                Revoked::Member {
                    user,
                    team,
                    issued_before,
                },
                until,
            ),
            RevocationTarget::Brokerage => (Revoked::Brokerage { issued_before }, until),
        };
        Ok(Revocation {
            broker: broker.clone(),
            what,
            kept_until,
        })
    }
}

/// `iat` has whole seconds: a token of this second is one that exists now.
fn after_second(now: OffsetDateTime) -> OffsetDateTime {
    now.truncate_to_second() + Duration::SECOND
}

/// The audit line: who revoked what.
fn log(by: &Caller, revocation: &Revocation) {
    let (broker, kind) = (&by.broker, revocation.what.kind());
    let (user, team, token_id) = match &revocation.what {
        Revoked::Token(id) => (None, None, Some(&**id)),
        Revoked::User { user, .. } => (Some(user.as_str()), None, None),
        Revoked::Member { user, team, .. } => (Some(user.as_str()), Some(team.as_str()), None),
        Revoked::Brokerage { .. } => (None, None, None),
    };
    let (by, role) = (&by.user, by.role);
    tracing::info!(%broker, %by, %role, kind, user, team, token_id, "tokens were revoked");
}
