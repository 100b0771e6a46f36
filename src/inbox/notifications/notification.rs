//! What a notification is, and how it is told.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::log::timestamp;
use crate::log::{Audience, NewEvent};
use crate::platform::{EventType, ModuleName, RecordId, UserId};

/// A set of words, each with a name in JSON and in the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $word:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $text)] $word,)*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$word,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let found = Self::ALL.iter().find(|word| word.as_str() == text);
                found.copied().ok_or(UnknownWord)
            }
        }
    };
}

/// A word that is none of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of the words there are")]
pub struct UnknownWord;

words!(/// How much it matters.
Level {
    Info = "info",
    Success = "success",
    /// It should be looked at.
    Warning = "warning",
    Error = "error",
});
words!(/// Why one is made by itself.
Kind {
    /// A task of the user's ended.
    TaskEnded = "taskEnded",
    /// Somebody took the user's lock.
    LockTakenOver = "lockTakenOver",
    /// Somebody asks for the user's lock.
    LockRequested = "lockRequested",
    /// Somebody changed a record of the user's.
    RecordChanged = "recordChanged",
});
words!(/// A notice of those who run the brokerage.
System {
    /// Something will not be there for a while.
    Maintenance = "maintenance",
    /// Everybody is to know this.
    Broadcast = "broadcast",
});

/// Something that somebody is told by name.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its number at its broker; numbers grow.
    pub id: i64,
    pub said: Said,
    pub count: i64,
    /// When it was told last.
    pub at: OffsetDateTime,
}

/// What a notification says, to whom.
#[derive(Clone, Debug)]
pub struct Said {
    pub audience: Audience,
    pub level: Level,
    /// Why it was made, where it was made by itself.
    pub kind: Option<Kind>,
    /// Whether it is a notice.
    pub system: Option<System>,
    /// What it says in short.
    pub title: String,
    pub body: Option<String>,
    /// The record it leads to.
    pub record: Option<(ModuleName, Option<RecordId>)>,
    pub user: Option<UserId>,
}

impl Notification {
    /// It, as JSON carries it in events and lists.
    #[must_use]
    pub fn json(&self) -> Value {
        let said = &self.said;
        let mut json = json!({
            "id": self.id,
            "audience": match &said.audience {
                Audience::User(user) => json!({"user": user}),
                Audience::Team(team) => json!({"team": team}),
                Audience::Broker => json!({"broker": true}),
                Audience::Workers => json!({"workers": true}),
            },
            "level": said.level,
            "title": said.title,
            "count": self.count,
            "at": timestamp(self.at),
        });
        let (module, record) = match &said.record {
            Some((module, record)) => (Some(module), record.as_ref()),
            None => (None, None),
        };
        for (name, value) in [
            ("kind", said.kind.map(|kind| json!(kind))),
            ("system", said.system.map(|system| json!(system))),
            ("body", said.body.as_ref().map(|body| json!(body))),
            ("module", module.map(|module| json!(module))),
            ("recordId", record.map(|record| json!(record))),
            ("userId", said.user.as_ref().map(|user| json!(user))),
        ] {
            if let Some(value) = value {
                json[name] = value;
            }
        }
        json
    }

    /// The event that tells of it, to a single user with the number of unread ones after it.
    ///
    /// The record stands in the data alone: being told of a notification does not make a
    /// record one's own, and who watches a record does not watch its owner's notifications.
    #[must_use]
    pub fn told(&self, unread: Option<i64>) -> NewEvent {
        let mut data = self.json();
        if let Some(unread) = unread {
            data["unread"] = json!(unread);
        }
        let event_type = match self.said.system {
            Some(system) => format!("system:{system}"),
            None => format!("notification:{}", self.said.level),
        };
        let event_type = EventType::parse(&event_type).expect("short words");
        let event = NewEvent::new(self.said.audience.clone(), event_type).with(&data);
        match &self.said.user {
            Some(user) => event.by(user),
            None => event,
        }
    }
}
