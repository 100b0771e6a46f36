//! The tokens that are refused although they are valid, in memory. Every request asks here, also one
//! with a known token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use time::OffsetDateTime;

use super::caller::Caller;
use super::error::TokenError;
use crate::platform::{BrokerId, TeamId, UserId};

/// Tokens of a brokerage that are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub broker: BrokerId,
    pub what: Revoked,
    /// When the last of these tokens has expired. `None`: that is not known.
    pub kept_until: Option<OffsetDateTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The token with this `jti`.
    Token(Arc<str>),
    /// All tokens of a user that were issued before.
    User {
        user: UserId,
        issued_before: OffsetDateTime,
    },
    /// The team in all tokens of a user that were issued before.
    Member {
        user: UserId,
        team: TeamId,
        issued_before: OffsetDateTime,
    },
    /// All tokens of the brokerage that were issued before.
    Brokerage { issued_before: OffsetDateTime },
}

impl Revoked {
    /// The kind of revocation, as tables and log lines have it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::User { .. } => "user",
            Self::Member { .. } => "member",
            Self::Brokerage { .. } => "broker",
        }
    }
}

/// Tokens that were issued before a moment.
#[derive(Clone, Copy, Debug)]
struct Cutoff {
    issued_before: OffsetDateTime,
    kept_until: Option<OffsetDateTime>,
}

impl Cutoff {
    fn includes(&self, caller: &Caller) -> bool {
        caller.credential.is_from_before(self.issued_before)
    }

    fn is_kept_at(&self, now: OffsetDateTime) -> bool {
        self.kept_until.is_none_or(|until| now < until)
    }

    /// A revocation only grows: two that come at the same time may be applied in any order.
    fn grow(&mut self, new: Self) {
        self.issued_before = self.issued_before.max(new.issued_before);
        self.kept_until = later(self.kept_until, new.kept_until);
    }
}

fn grow(known: &mut Option<Cutoff>, new: Cutoff) {
    known.get_or_insert(new).grow(new);
}

/// The later end; `None` is no end.
fn later(one: Option<OffsetDateTime>, other: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
    one.zip(other).map(|(one, other)| one.max(other))
}

#[derive(Debug, Default)]
struct UserRevocations {
    all: Option<Cutoff>,
    teams: FxHashMap<TeamId, Cutoff>,
}

#[derive(Debug, Default)]
struct BrokerageRevocations {
    all: Option<Cutoff>,
    users: FxHashMap<UserId, UserRevocations>,
    tokens: FxHashMap<Arc<str>, Option<OffsetDateTime>>,
}

/// Revocations by brokerage. A request of a brokerage without any costs one shared lock and one lookup;
/// while there are none at all, it costs one load.
#[derive(Debug, Default)]
pub struct Revocations {
    brokerages: RwLock<FxHashMap<BrokerId, BrokerageRevocations>>,
    /// Whether there was ever one.
    has_any: AtomicBool,
}

impl Revocations {
    /// From now on these tokens are refused.
    pub fn add(&self, revocation: &Revocation) {
        let brokerages = self.brokerages.write();
        let mut brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let of_broker = brokerages.entry(revocation.broker.clone()).or_default();
        of_broker.add(&revocation.what, revocation.kept_until);
        drop(brokerages);
        self.has_any.store(true, Ordering::Release);
    }

    /// The caller without the teams that were revoked, or the refusal of the token.
    pub fn check(&self, mut caller: Caller) -> Result<Caller, TokenError> {
        if !self.has_any.load(Ordering::Acquire) {
            return Ok(caller);
        }
        let brokerages = self.brokerages.read();
        let brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let Some(of_broker) = brokerages.get(&caller.broker) else {
            return Ok(caller);
        };
        let of_user = of_broker.users.get(&caller.user);
        if of_broker.refuses(&caller) || of_user.is_some_and(|of_user| of_user.refuses(&caller)) {
            return Err(TokenError::Revoked);
        }
        if let Some(of_user) = of_user {
            of_user.remove_teams(&mut caller);
        }
        Ok(caller)
    }

    /// Forgets revocations of tokens that have expired.
    pub fn forget_expired(&self, now: OffsetDateTime) {
        let brokerages = self.brokerages.write();
        let mut brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        brokerages.retain(|_, of_broker| of_broker.retain_kept(now));
    }
}

impl BrokerageRevocations {
    fn add(&mut self, what: &Revoked, kept_until: Option<OffsetDateTime>) {
        let cutoff = |issued_before: &OffsetDateTime| Cutoff {
            issued_before: *issued_before,
            kept_until,
        };
        match what {
            Revoked::Token(id) => {
                let until = self.tokens.entry(Arc::clone(id)).or_insert(kept_until);
                *until = later(*until, kept_until);
            }
            Revoked::User {
                user,
                issued_before,
            } => grow(&mut self.user(user).all, cutoff(issued_before)),
            Revoked::Member {
                user,
                team,
                issued_before,
            } => {
                let teams = &mut self.user(user).teams;
                let new = cutoff(issued_before);
                teams.entry(team.clone()).or_insert(new).grow(new);
            }
            Revoked::Brokerage { issued_before } => grow(&mut self.all, cutoff(issued_before)),
        }
    }

    fn user(&mut self, user: &UserId) -> &mut UserRevocations {
        self.users.entry(user.clone()).or_default()
    }

    fn refuses(&self, caller: &Caller) -> bool {
        let token_id = caller.credential.token_id.as_deref();
        token_id.is_some_and(|id| self.tokens.contains_key(id))
            || self.all.is_some_and(|cutoff| cutoff.includes(caller))
    }

    /// Returns whether any revocation is left.
    fn retain_kept(&mut self, now: OffsetDateTime) -> bool {
        self.all = self.all.filter(|cutoff| cutoff.is_kept_at(now));
        self.tokens
            .retain(|_, until| until.is_none_or(|until| now < until));
        self.users.retain(|_, of_user| {
            of_user.all = of_user.all.filter(|cutoff| cutoff.is_kept_at(now));
            of_user.teams.retain(|_, cutoff| cutoff.is_kept_at(now));
            of_user.all.is_some() || !of_user.teams.is_empty()
        });
        self.all.is_some() || !self.tokens.is_empty() || !self.users.is_empty()
    }
}

impl UserRevocations {
    fn refuses(&self, caller: &Caller) -> bool {
        self.all.is_some_and(|cutoff| cutoff.includes(caller))
    }

    fn remove_teams(&self, caller: &mut Caller) {
        let is_lost = |team: &TeamId| {
            let cutoff = self.teams.get(team);
            cutoff.is_some_and(|cutoff| cutoff.includes(caller))
        };
        if caller.teams.iter().any(is_lost) {
            let left = caller.teams.iter().filter(|team| !is_lost(team)).cloned();
            caller.teams = left.collect();
        }
    }
}
