//! The caller as everything behind the edge sees it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;

use crate::platform::{BrokerId, Principal, TeamId, UserId};

/// The most teams one caller may be on: each is an audience of every stream.
pub const MAX_TEAMS: usize = 64;

/// Whoever holds a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user, within the broker.
    pub user: UserId,
    /// The tenant. Nothing of another one exists for this caller.
    pub broker: BrokerId,
    /// The user's teams: distinct, in the token's order, possibly none.
    pub teams: Arc<[TeamId]>,
    /// What the caller may do.
    pub role: Role,
    /// When the token stops being valid; streams end then.
    pub expires_at: OffsetDateTime,
    /// The token's own name (`jti`), by which it can be revoked.
    pub token_id: Option<Arc<str>>,
}

impl Caller {
    /// Whether the caller is on `team`.
    #[must_use]
    pub fn is_on(&self, team: &TeamId) -> bool {
        self.teams.contains(team)
    }

    /// Whether the caller may publish events of any type to any audience of its broker.
    #[must_use]
    pub fn may_publish(&self) -> bool {
        self.role == Role::Service
    }

    /// Whether the caller may claim tasks and report on them.
    #[must_use]
    pub fn may_work(&self) -> bool {
        self.role == Role::Worker
    }

    /// Whether the caller may overrule others: take over locks, see private fields.
    #[must_use]
    pub fn may_administer(&self) -> bool {
        self.role == Role::Admin
    }
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person at work; the role of a token that names none.
    #[default]
    Agent,
    /// A person who runs the brokerage.
    Admin,
    Service,
    /// A process that carries out tasks.
    Worker,
}

impl Role {
    /// What kind of caller has this role. An agent who becomes an admin is the same person.
    #[must_use]
    pub fn principal(self) -> Principal {
        match self {
            Self::Agent | Self::Admin => Principal::Person,
            Self::Service => Principal::Service,
            Self::Worker => Principal::Worker,
        }
    }

    /// The role as tokens write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Admin => "admin",
            Self::Service => "service",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be agent, admin, service or worker")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        [Self::Agent, Self::Admin, Self::Service, Self::Worker]
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}
