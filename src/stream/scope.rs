//! The scope of a stream: the part of the caller's events that it carries.

use std::borrow::Cow;
use std::sync::Arc;

use crate::identity::Caller;
use crate::log::Audience;
use crate::platform::{RecordPath, TeamId};

/// It has 16 bytes, because each stream has one, and most of them have no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything the caller may see.
    All,
    /// Events for the caller alone.
    User,
    /// One of the caller's teams, or all of them.
    Team(Option<Box<TeamId>>),
    /// Events for the whole brokerage.
    Broker,
    /// Events of one record that the caller may see.
    Record(Box<RecordPath>),
    /// Events for workers: tasks that wait, and the end of their own tasks.
    Worker,
}

/// The scope is not one of the caller's. It does not tell whether the team exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownScope {
    #[error("there is no team {0} among yours")]
    Team(TeamId),
    #[error("your token names no team")]
    NoTeam,
    #[error("this needs a token with the role worker")]
    NoWorker,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Scope {
    /// The name of the scope. Only one with an id is a text of its own.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::All => "all".into(),
            Self::User => "user".into(),
            Self::Team(None) => "team".into(),
            Self::Team(Some(team)) => format!("team:{team}").into(),
            Self::Broker => "broker".into(),
            Self::Record(record) => format!("record:{record}").into(),
            Self::Worker => "worker".into(),
        }
    }

    /// The audiences of this scope for `caller`.
    pub fn audiences(&self, caller: &Caller) -> Result<Arc<[Audience]>, UnknownScope> {
        let teams = || caller.teams.iter().cloned().map(Audience::Team);
        let user = Audience::User(caller.user.clone());
        match self {
            Self::All | Self::Record(..) => Ok([user, Audience::Broker]
                .into_iter()
                .chain(teams())
                .collect()),
            Self::User => Ok([user].into()),
            Self::Broker => Ok([Audience::Broker].into()),
            Self::Team(Some(team)) if !caller.is_on(team) => {
                Err(UnknownScope::Team(TeamId::clone(team)))
            }
            Self::Team(Some(team)) => Ok([Audience::Team(TeamId::clone(team))].into()),
            Self::Team(None) if caller.teams.is_empty() => Err(UnknownScope::NoTeam),
            Self::Team(None) => Ok(teams().collect()),
            Self::Worker if !caller.may_work() => Err(UnknownScope::NoWorker),
            Self::Worker => Ok([Audience::Workers, user].into()),
        }
    }

    /// The path of the same events as a list.
    #[must_use]
    pub fn history_path(&self) -> String {
        match self {
            Self::All => "/events?scope=all".to_owned(),
            Self::User => "/events?scope=user".to_owned(),
            Self::Team(None) => "/events?scope=team".to_owned(),
            Self::Team(Some(team)) => format!("/events?scope=team&team={team}"),
            Self::Broker => "/events?scope=broker".to_owned(),
            Self::Worker => "/events?scope=worker".to_owned(),
            Self::Record(record) => format!("/events?scope=all&records={record}"),
        }
    }
}
