//! An event: something that happened, for one audience, at one position of a brokerage's log.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::platform::traces::{self, SpanContext};
use crate::platform::{EventType, ModuleName, RecordId, RecordPath, TeamId, UserId};

mod cursor;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
pub mod json;
pub mod private;

pub use cursor::{Cursor, Epoch};
pub use private::{Private, REDACTED, REDACTED_JSON, Rights, set_aside};

/// The receivers of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    Broker,
    /// The members of one team.
    Team(TeamId),
    User(UserId),
    /// The brokerage's workers, which carry out tasks.
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

/// A stored audience that this version cannot read.
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

/// The content of an event. In the log it gets a position and a time.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub audience: Audience,
    pub event_type: EventType,
    pub record: Option<(ModuleName, Option<RecordId>)>,
    pub user: Option<UserId>,
    /// The record's version after it.
    pub version: Option<i64>,
    /// JSON on one line.
    pub data: Option<Arc<RawValue>>,
    /// Only the changed fields, on one line.
    pub changes: Option<Arc<RawValue>>,
    /// The values behind each `"[REDACTED]"` in `data` and `changes`.
    pub private: Option<Private>,
    /// The record's owner, who may see the private fields.
    pub owner: Option<UserId>,
    /// The record has another owner from now on, who also sees the private fields of its earlier
    /// events.
    pub is_new_owner: bool,
    /// The previous values of the changed fields, on one line. The log has them; no stream gets
    /// them.
    pub previous: Option<Arc<RawValue>>,
    /// It was too large, so that its data was removed.
    pub is_truncated: bool,
    /// The span of the request that it belongs to, if that is sampled.
    pub trace: Option<Arc<SpanContext>>,
}

impl NewEvent {
    /// An event of the current request, if there is one.
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
            trace: traces::current(),
        }
    }

    #[must_use]
    pub fn about(self, record: &RecordPath) -> Self {
        let record = Some((record.module.clone(), Some(record.id.clone())));
        Self { record, ..self }
    }

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

    #[must_use]
    pub fn record_path(&self) -> Option<RecordPath> {
        let (module, id) = self.record.clone()?;
        Some(RecordPath { module, id: id? })
    }

    /// The bytes of its JSON.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        let private = self.private.as_ref().map(|private| &private.0);
        let contents = [self.data.as_ref(), self.changes.as_ref(), private];
        let bytes = contents.into_iter().flatten().map(|raw| raw.get().len());
        bytes.sum()
    }

    #[must_use]
    pub fn module(&self) -> Option<&ModuleName> {
        self.record.as_ref().map(|(module, _)| module)
    }

    #[must_use]
    pub fn record_id(&self) -> Option<&RecordId> {
        self.record.as_ref().and_then(|(_, id)| id.as_ref())
    }
}

/// An event in the log.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counts from 1 in each log.
    pub position: i64,
    /// The time of the append, on the database's clock.
    pub created_at: OffsetDateTime,
    pub body: NewEvent,
}

/// The audience of a record, and the event that set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordAudience {
    pub audience: Audience,
    /// The position of the event; 0 when the log has no event of the record.
    pub position: i64,
}

impl Event {
    /// The audience that this event sets for its record. An event for one user does not set it,
    /// and the end of a lock does not either: its audience is that of the lock's beginning.
    #[must_use]
    pub fn record_audience(&self) -> Option<(RecordPath, RecordAudience)> {
        let record = self.body.record_path()?;
        let audience = self.body.audience.clone();
        let is_end_of_lock = self.body.event_type.as_str().ends_with(":unlocked");
        if is_end_of_lock || matches!(audience, Audience::User(_)) {
            return None;
        }
        let position = self.position;
        Some((record, RecordAudience { audience, position }))
    }

    /// The event as a reader with these rights sees it.
    #[must_use]
    pub fn seen_with(&self, rights: &Rights) -> Cow<'_, Self> {
        match &self.body.private {
            Some(_) if rights.allow(self.body.owner.as_ref()) => Cow::Owned(self.unmasked()),
            _ => Cow::Borrowed(self),
        }
    }

    /// The event with its private fields.
    #[must_use]
    pub fn unmasked(&self) -> Self {
        let mut event = self.clone();
        if let Some(private) = event.body.private.take() {
            for object in [&mut event.body.data, &mut event.body.changes] {
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
    fn a_user_is_no_other_audience_whatever_the_id_is() {
        for id in ["broker", "workers", "team:a", "user:a", "a|team:b", ":"] {
            let user = Audience::User(id.parse().unwrap());
            assert_eq!(user.to_string().parse::<Audience>().unwrap(), user, "{id}");
        }
    }
}
