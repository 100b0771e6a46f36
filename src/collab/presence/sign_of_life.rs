//! A sign of life: what one instance knows of one session of a user.

use std::sync::Arc;

use super::moment::Moment;
use crate::log::Audience;
use crate::platform::{RecordPath, SessionName, TeamId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Online,
    /// Present, but not active.
    Away,
}

impl Status {
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

/// When a stream was opened: microseconds since 1970, on the clock of its instance. All instances compare
/// the same numbers, so that they agree on the oldest stream.
pub type OpenedAt = i64;

/// A record that somebody has open.
#[derive(Clone, Debug)]
pub struct RecordInUse {
    pub record: RecordPath,
    /// Who may see the record.
    pub audience: Audience,
    /// When the audience was looked up.
    pub looked_up_at: Moment,
}

impl PartialEq for RecordInUse {
    fn eq(&self, other: &Self) -> bool {
        (&self.record, &self.audience) == (&other.record, &other.audience)
    }
}

impl Eq for RecordInUse {}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Session {
    /// All of a user's streams at one instance.
    Streams,
    /// All of a user's streams at one instance that do not make the user present: those of services and
    /// workers, and streams of output. They count for the limit of streams.
    Unseen,
    /// A device or tab that sends heartbeats.
    Named(SessionName),
}

/// The instance that noticed a sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignOrigin {
    Here,
    Peer(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignSource {
    pub session: Session,
    pub origin: SignOrigin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOfLife {
    /// The teams of the session's token.
    pub teams: Arc<[TeamId]>,
    /// A heartbeat has it. A stream counts as online.
    pub status: Status,
    /// Boxed, because most signs have none, and there is one per stream.
    pub viewing: Option<Box<RecordInUse>>,
    pub editing: Option<Box<RecordInUse>>,
    /// When each open stream of the session was opened.
    pub streams: Arc<[OpenedAt]>,
    pub noticed_at: Moment,
    /// When the user was last active.
    pub active_at: Moment,
    /// When it ends or has ended. The sign of an open stream lasts as long as its instance.
    pub ends_at: Option<Moment>,
}

impl Session {
    /// Whether it stands for streams, which last as long as their instance.
    #[must_use]
    pub fn is_of_streams(&self) -> bool {
        matches!(self, Self::Streams | Self::Unseen)
    }
}

impl SignOfLife {
    #[must_use]
    pub fn of_stream(teams: Arc<[TeamId]>, now: Moment) -> Self {
        Self {
            teams,
            status: Status::Online,
            viewing: None,
            editing: None,
            streams: Arc::default(),
            noticed_at: now,
            active_at: now,
            ends_at: None,
        }
    }

    pub fn records_in_use(&self) -> impl Iterator<Item = &RecordInUse> {
        [&self.viewing, &self.editing]
            .into_iter()
            .filter_map(Option::as_deref)
    }

    /// Applies a new audience of a record, and returns whether the sign has changed. If the session
    /// may not see the record any more, it no longer shows it.
    pub fn update_audience(&mut self, record: &RecordPath, audience: &Audience) -> bool {
        let is_visible = match audience {
            Audience::Team(team) => self.teams.contains(team),
            _ => true,
        };
        let mut has_changed = false;
        for open in [&mut self.viewing, &mut self.editing] {
            let Some(in_use) = open.as_mut() else {
                continue;
            };
            if in_use.record != *record || in_use.audience == *audience {
                continue;
            }
            has_changed = true;
            if is_visible {
                in_use.audience.clone_from(audience);
            } else {
                *open = None;
            }
        }
        has_changed
    }

    /// Whether it repeats `before` in time and only extends it.
    #[must_use]
    pub fn extends(&self, before: &Self) -> bool {
        let is_in_time = |end| self.noticed_at < end && self.ends_at.is_some_and(|e| e > end);
        before.ends_at.is_some_and(is_in_time)
            && (self.status, &self.viewing, &self.editing, &self.teams)
                == (
                    before.status,
                    &before.viewing,
                    &before.editing,
                    &before.teams,
                )
    }

    /// Whether the session ended itself.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.ends_at.is_some_and(|end| end <= self.noticed_at)
    }

    /// The sign that the session has ended.
    #[must_use]
    pub fn ended(&self, now: Moment) -> Self {
        Self {
            viewing: None,
            editing: None,
            noticed_at: now,
            ends_at: Some(now),
            ..self.clone()
        }
    }
}
