//! The caller of a request, as all other modules see it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;

use super::credential::Credential;
use crate::platform::{BrokerId, Principal, TeamId, UserId};

/// Teams that a user can have. Each is an audience of the user's streams.
pub const MAX_TEAMS: usize = 64;

/// The holder of a valid token, with their brokerage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user: UserId,
    /// Other brokerages do not exist for this caller.
    pub broker: BrokerId,
    /// Distinct, in the token's order.
    pub teams: Arc<[TeamId]>,
    pub role: Role,
    /// Streams end at this time.
    pub expires_at: OffsetDateTime,
    pub credential: Arc<Credential>,
}

impl Caller {
    #[must_use]
    pub fn is_on(&self, team: &TeamId) -> bool {
        self.teams.contains(team)
    }

    /// Whether the caller may publish events of any type to any audience of the brokerage.
    #[must_use]
    pub fn may_publish(&self) -> bool {
        self.role == Role::Service
    }

    /// Whether the caller may claim tasks and report on them.
    #[must_use]
    pub fn may_work(&self) -> bool {
        self.role == Role::Worker
    }

    /// Whether the caller may take over locks and see private fields.
    #[must_use]
    pub fn may_administer(&self) -> bool {
        self.role.may_administer()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person. It is the role of a token without one.
    #[default]
    Agent,
    /// A person who administers the brokerage.
    Admin,
    Service,
    /// A process that runs tasks.
    Worker,
}

impl Role {
    /// The kind of caller. An agent who becomes an admin stays the same person.
    #[must_use]
    pub fn principal(self) -> Principal {
        match self {
            Self::Agent | Self::Admin => Principal::Person,
            Self::Service => Principal::Service,
            Self::Worker => Principal::Worker,
        }
    }

    /// Whether it may take over locks and see private fields.
    #[must_use]
    pub fn may_administer(self) -> bool {
        self == Self::Admin
    }

    /// The role as tokens have it.
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
