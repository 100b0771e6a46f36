//! An event: something that happened, told to one audience, at one position of its broker's log.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::platform::{EventType, ModuleName, RecordId, RecordPath, TeamId, UserId};

mod cursor;
pub mod json;
pub mod private;

pub use cursor::{Cursor, Epoch};
pub use private::{Private, Rights, set_aside};

/// Who may see an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    Broker,
    /// The members of one team.
    Team(TeamId),
    User(UserId),
    /// Those who carry out tasks.
    Workers,
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker => f.write_str("broker"),
            Self::Team(team) => write!(f, "team:{team}"),
            Self::User(user) => write!(f, "user:{user}"),
            Self::Workers => f.write_str("workers"),
        }
    }
}

/// A stored audience that no version of this service wrote.
#[derive(Debug, thiserror::Error)]
#[error("not an audience: {0:?}")]
pub struct UnknownAudience(String);

impl FromStr for Audience {
    type Err = UnknownAudience;
    fn from_str(text: &str) -> Result<Self, UnknownAudience> {
        let unknown = || UnknownAudience(text.to_owned());
        match text.split_once(':') {
            None if text == "broker" => Ok(Self::Broker),
            None if text == "workers" => Ok(Self::Workers),
            Some(("team", id)) => TeamId::parse(id).map(Self::Team).map_err(|_| unknown()),
            Some(("user", id)) => UserId::parse(id).map(Self::User).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

/// What is to be told: an event before it has a place in the log.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub audience: Audience,
    /// What kind of event it is.
    pub event_type: EventType,
    /// The record it is about.
    pub record: Option<(ModuleName, Option<RecordId>)>,
    pub user: Option<UserId>,
    /// The record's version after it.
    pub version: Option<i64>,
    /// The whole of what is told, on one line.
    pub data: Option<Arc<RawValue>>,
    /// Only what changed, on one line.
    pub changes: Option<Arc<RawValue>>,
    /// What stands behind each `"[REDACTED]"` in them.
    pub private: Option<Private>,
    /// Who owns the record, and may see what is private.
    pub owner: Option<UserId>,
    /// From now on they own it, and see what was private in its earlier events too.
    pub is_new_owner: bool,
    /// What changed as it was before, on one line. It is kept in the log, and sent to nobody.
    pub previous: Option<Arc<RawValue>>,
    /// It was too large to be told with its data.
    pub is_truncated: bool,
}

impl NewEvent {
    /// An event of this type, of which nothing more is known yet.
    #[must_use]
    pub fn new(audience: Audience, event_type: EventType) -> Self {
        Self {
            audience,
            event_type,
            record: None,
            user: None,
            version: None,
            data: None,
            changes: None,
            private: None,
            owner: None,
            is_new_owner: false,
            previous: None,
            is_truncated: false,
        }
    }

    /// The same, about this record.
    #[must_use]
    pub fn about(self, record: &RecordPath) -> Self {
        let record = Some((record.module.clone(), Some(record.id.clone())));
        Self { record, ..self }
    }

    /// The same, done by this user.
    #[must_use]
    pub fn by(self, user: &UserId) -> Self {
        let user = Some(user.clone());
        Self { user, ..self }
    }

    #[must_use]
    pub fn with(self, data: &serde_json::Value) -> Self {
        let data = serde_json::value::to_raw_value(data).ok().map(Arc::from);
        Self { data, ..self }
    }

    /// The record, if it is about one.
    #[must_use]
    pub fn record_path(&self) -> Option<RecordPath> {
        let (module, id) = self.record.clone()?;
        Some(RecordPath { module, id: id? })
    }

    /// The record's module, if it is about one.
    #[must_use]
    pub fn module(&self) -> Option<&ModuleName> {
        self.record.as_ref().map(|(module, _)| module)
    }

    /// The record's id, if it is about one.
    #[must_use]
    pub fn record_id(&self) -> Option<&RecordId> {
        self.record.as_ref().and_then(|(_, id)| id.as_ref())
    }
}

/// An event in the log.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in its broker's log, from 1.
    pub position: i64,
    /// When it was appended, on the database's clock.
    pub created_at: OffsetDateTime,
    pub told: NewEvent,
}

/// Who sees a record, and since which event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub audience: Audience,
    /// The position of the event that says so; 0 where the log knows nothing of the record.
    pub position: i64,
}

impl Event {
    /// What it says of who sees its record. Who is told of the end of a lock was told of its
    /// beginning, which says nothing of who sees the record by then.
    #[must_use]
    pub fn shows(&self) -> Option<(RecordPath, Shown)> {
        let record = self.told.record_path()?;
        let audience = &self.told.audience;
        let is_end_of_lock = self.told.event_type.as_str().ends_with(":unlocked");
        let says = !is_end_of_lock && !matches!(audience, Audience::User(_));
        says.then(|| {
            let shown = Shown {
                audience: audience.clone(),
                position: self.position,
            };
            (record, shown)
        })
    }

    /// The event as this reader sees it.
    #[must_use]
    pub fn seen_with(&self, rights: &Rights) -> Cow<'_, Self> {
        match &self.told.private {
            Some(_) if rights.reach(self.told.owner.as_ref()) => Cow::Owned(self.unmasked()),
            _ => Cow::Borrowed(self),
        }
    }

    /// The event with its private fields, for those who may see them.
    #[must_use]
    pub fn unmasked(&self) -> Self {
        let mut event = self.clone();
        if let Some(private) = event.told.private.take() {
            for object in [&mut event.told.data, &mut event.told.changes] {
                *object = object.take().map(|o| private.put_into(&o).unwrap_or(o));
            }
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::platform::ids::tests::{any_name, any_user};

    fn any_audience() -> impl Strategy<Value = Audience> {
        prop_oneof![
            Just(Audience::Broker),
            Just(Audience::Workers),
            any_name().prop_map(Audience::Team),
            any_user().prop_map(Audience::User),
        ]
    }

    proptest! {
        #[test]
        fn an_audience_reads_back_as_it_was_written(audience in any_audience()) {
            prop_assert_eq!(audience.to_string().parse::<Audience>().unwrap(), audience);
        }
    }

    #[test]
    fn a_user_is_no_other_audience_whatever_they_are_called() {
        for id in ["broker", "workers", "team:a", "user:a", "a|team:b", ":"] {
            let user = Audience::User(id.parse().unwrap());
            assert_eq!(user.to_string().parse::<Audience>().unwrap(), user, "{id}");
        }
    }
}
