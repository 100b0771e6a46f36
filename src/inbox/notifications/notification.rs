//! A notification and its event.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::log::timestamp;
use crate::log::{Audience, NewEvent};
use crate::platform::{EventType, ModuleName, RecordId, UserId};

/// An enum whose variants have the same name in JSON and in the database.
macro_rules! names {
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
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let found = Self::ALL.iter().find(|name| name.as_str() == text);
                found.copied().ok_or(UnknownName)
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a known name")]
pub struct UnknownName;

names!(Level {
    Info = "info",
    Success = "success",
    Warning = "warning",
    Error = "error",
});
names!(/// The event that the notifier made the notification from.
NotificationKind {
    /// A task of the user's ended.
    TaskEnded = "taskEnded",
    /// Somebody took the user's lock.
    LockTakenOver = "lockTakenOver",
    /// Somebody requested the user's lock.
    LockRequested = "lockRequested",
    /// Somebody changed a record of the user's.
    RecordChanged = "recordChanged",
});
names!(/// A notice to the whole brokerage.
SystemNotice {
    Maintenance = "maintenance",
    Broadcast = "broadcast",
});

#[derive(Clone, Debug)]
pub struct Notification {
    /// Ids of a brokerage grow.
    pub id: i64,
    pub content: NotificationContent,
    /// How many events it stands for.
    pub count: i64,
    /// When it was last sent.
    pub at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub struct NotificationContent {
    pub audience: Audience,
    pub level: Level,
    /// None for a posted notification.
    pub kind: Option<NotificationKind>,
    pub system: Option<SystemNotice>,
    pub title: String,
    pub body: Option<String>,
    /// What a click leads to.
    pub record: Option<RecordLink>,
    /// The user who caused it.
    pub user: Option<UserId>,
}

/// A record, or the list of a module.
#[derive(Clone, Debug)]
pub struct RecordLink {
    pub module: ModuleName,
    pub record: Option<RecordId>,
}

impl Notification {
    /// The JSON in events and lists.
    #[must_use]
    pub fn json(&self) -> Value {
        let content = &self.content;
        let mut json = json!({
            "id": self.id,
            "audience": match &content.audience {
                Audience::User(user) => json!({"user": user}),
                Audience::Team(team) => json!({"team": team}),
                Audience::Broker => json!({"broker": true}),
                Audience::Workers => json!({"workers": true}),
            },
            "level": content.level,
            "title": content.title,
            "count": self.count,
            "at": timestamp(self.at),
        });
        let module = content.record.as_ref().map(|link| &link.module);
        let record = content
            .record
            .as_ref()
            .and_then(|link| link.record.as_ref());
        for (name, value) in [
            ("kind", content.kind.map(|kind| json!(kind))),
            ("system", content.system.map(|system| json!(system))),
            ("body", content.body.as_ref().map(|body| json!(body))),
            ("module", module.map(|module| json!(module))),
            ("recordId", record.map(|record| json!(record))),
            ("userId", content.user.as_ref().map(|user| json!(user))),
        ] {
            if let Some(value) = value {
                json[name] = value;
            }
        }
        json
    }

    /// The event of the notification. For a single user, `unread` is the number of unread ones after it.
    ///
    /// Only the data of the event has the record: a stream of the record must not get the notifications
    /// of its owner.
    #[must_use]
    pub fn event(&self, unread: Option<i64>) -> NewEvent {
        let mut data = self.json();
        if let Some(unread) = unread {
            data["unread"] = json!(unread);
        }
        let event_type = match self.content.system {
            Some(system) => format!("system:{system}"),
            None => format!("notification:{}", self.content.level),
        };
        let event_type = EventType::parse(&event_type).expect("short names");
        let event = NewEvent::new(self.content.audience.clone(), event_type).with(&data);
        match &self.content.user {
            Some(user) => event.by(user),
            None => event,
        }
    }
}
