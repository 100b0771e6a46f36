//! Signs of life: what one instance knows of one session of a user.

use std::sync::Arc;

use super::moment::Moment;
use crate::log::Audience;
use crate::platform::{RecordPath, SessionName, TeamId};

/// Whether somebody is at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Online,
    /// Here, but not at it.
    Away,
}

impl Status {
    /// The status as clients and the table write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "online" => Ok(Self::Online),
            "away" => Ok(Self::Away),
            _ => Err(()),
        }
    }
}

/// A record that somebody has open, and to whom it may be shown.
#[derive(Clone, Debug)]
pub struct RecordInUse {
    pub record: RecordPath,
    pub audience: Audience,
    /// When that was looked up.
    pub looked_up_at: Moment,
}

impl PartialEq for RecordInUse {
    fn eq(&self, other: &Self) -> bool {
        (&self.record, &self.audience) == (&other.record, &other.audience)
    }
}

impl Eq for RecordInUse {}

/// Which session of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Session {
    /// All open streams at one instance.
    Streams,
    /// A device or tab that sends heartbeats.
    Named(SessionName),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    Here,
    There(Arc<str>),
}

/// Which session, and who noticed it.
pub type Source = (Session, Origin);

/// What is known of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOfLife {
    /// The teams that its token names.
    pub teams: Arc<[TeamId]>,
    /// What it says; a stream says nothing and is taken for online.
    pub status: Status,
    pub viewing: Option<RecordInUse>,
    pub editing: Option<RecordInUse>,
    pub said_at: Moment,
    /// When its user last did something.
    pub active_at: Moment,
    /// When it ends or has ended; a stream's sign lasts as long as its instance.
    pub ends_at: Option<Moment>,
}

impl SignOfLife {
    /// The sign of a stream that is open.
    #[must_use]
    pub fn of_stream(teams: Arc<[TeamId]>, now: Moment) -> Self {
        Self {
            teams,
            status: Status::Online,
            viewing: None,
            editing: None,
            said_at: now,
            active_at: now,
            ends_at: None,
        }
    }

    /// What it has open, for whatever reason.
    pub fn places(&self) -> impl Iterator<Item = &RecordInUse> {
        self.viewing.iter().chain(&self.editing)
    }

    /// A record is shown to `audience` from now on; says whether the sign is another one by it. A
    /// session that may not see the record any more does not show it.
    pub fn show(&mut self, record: &RecordPath, audience: &Audience) -> bool {
        let sees = match audience {
            Audience::Team(team) => self.teams.contains(team),
            _ => true,
        };
        let mut has_changed = false;
        for open in [&mut self.viewing, &mut self.editing] {
            let Some(place) = open.as_mut() else { continue };
            if place.record != *record || place.audience == *audience {
                continue;
            }
            has_changed = true;
            if sees {
                place.audience.clone_from(audience);
            } else {
                *open = None;
            }
        }
        has_changed
    }

    /// Whether it only says once more, and in time, what `before` said.
    #[must_use]
    pub fn goes_on_from(&self, before: &Self) -> bool {
        let is_in_time = |end| self.said_at < end && self.ends_at.is_some_and(|e| e > end);
        before.ends_at.is_some_and(is_in_time)
            && (self.status, &self.viewing, &self.editing, &self.teams)
                == (
                    before.status,
                    &before.viewing,
                    &before.editing,
                    &before.teams,
                )
    }

    /// Whether it says that its session is over.
    #[must_use]
    pub fn is_goodbye(&self) -> bool {
        self.ends_at.is_some_and(|end| end <= self.said_at)
    }

    #[must_use]
    pub fn over(&self, now: Moment) -> Self {
        Self {
            viewing: None,
            editing: None,
            said_at: now,
            ends_at: Some(now),
            ..self.clone()
        }
    }
}
