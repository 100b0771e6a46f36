//! Names that come from outside, parsed once at the edge: whoever holds one holds a valid one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod request;
mod reserved;

pub use request::RequestId;
pub use reserved::ReservedFor;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters from A-Z a-z 0-9 _ - . :")]
pub struct InvalidId;

/// Whether a text is a name.
pub(crate) fn is_valid(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    (1..=64).contains(&id.len()) && id.bytes().all(allowed)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name from outside.
            pub fn parse(id: &str) -> Result<Self, InvalidId> {
                if is_valid(id) { Ok(Self(id.into())) } else { Err(InvalidId) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(id: String) -> Result<Self, InvalidId> {
                Self::parse(&id)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(id: &str) -> Result<Self, InvalidId> {
                Self::parse(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

id!(/// The tenant: a brokerage.
    BrokerId);
id!(/// A team within a broker.
    TeamId);
id!(/// A user within a broker.
    UserId);
id!(/// A module of the CRM: `escrows`, `listings`, …
    ModuleName);
id!(/// A record of a module.
    RecordId);
id!(/// One device or tab of a user, named by itself.
    SessionName);
id!(/// The type of an event: `escrow:updated`.
    EventType);
id!(/// A task of a broker.
    TaskId);
id!(/// The type of a task, by which workers choose: `import_csv`.
    TaskType);
id!(/// Why a task failed, for programs: `rate_limited`.
    FaultCode);
id!(/// A file that a user has sent.
    UploadId);

/// One record of one module, as paths write it: `escrows/e-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordPath {
    /// Its module.
    pub module: ModuleName,
    /// Its name there.
    pub id: RecordId,
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.module, self.id)
    }
}

/// Text that is not a module, a slash and a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a record like escrows/123")]
pub struct InvalidRecordPath;

impl std::str::FromStr for RecordPath {
    type Err = InvalidRecordPath;
    fn from_str(text: &str) -> Result<Self, InvalidRecordPath> {
        let (module, id) = text.split_once('/').ok_or(InvalidRecordPath)?;
        Ok(Self {
            module: module.parse().map_err(|_| InvalidRecordPath)?,
            id: id.parse().map_err(|_| InvalidRecordPath)?,
        })
    }
}

impl EventType {
    /// What happened: the part after the last colon.
    #[must_use]
    pub fn action(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_sixty_four_plain_characters() {
        for good in ["a", "team-a", "A.b_c:d-9", &"x".repeat(64)] {
            assert!(TeamId::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "a b", "ä", "a\n", "a/b", "a\0", &"x".repeat(65)] {
            assert!(TeamId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_action_is_what_stands_after_the_last_colon() {
        assert_eq!(
            EventType::parse("ai:task:progress").unwrap().action(),
            "progress"
        );
        assert_eq!(EventType::parse("tick").unwrap().action(), "tick");
    }
}
