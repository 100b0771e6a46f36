//! Ids and names from outside. They are parsed once, so that a value of these types is always valid.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_point;
mod request;
mod reserved;

pub use request::RequestId;
pub use reserved::ReservedFor;

/// With the rule that the text breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);

/// The rule for all ids but those of users.
pub const NAME_FORM: &str = "must be 1 to 64 characters from A-Z a-z 0-9 _ - . :";
/// The rule for ids of users. Identity providers choose them: `auth0|5f7c`, `ann@example.com`.
pub const USER_FORM: &str =
    "must be 1 to 128 printable ASCII characters, without a space at either end";
/// The longest id of a user.
pub const USER_CHARS: usize = 128;

pub(crate) fn is_name(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    (1..=64).contains(&id.len()) && id.bytes().all(allowed)
}

pub(crate) fn is_user_name(id: &str) -> bool {
    let allowed = |b: u8| b == b' ' || b.is_ascii_graphic();
    let has_edges = !id.starts_with(' ') && !id.ends_with(' ');
    (1..=USER_CHARS).contains(&id.len()) && id.bytes().all(allowed) && has_edges
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        id!($(#[$doc])* $name, is_name, NAME_FORM);
    };
    ($(#[$doc:meta])* $name:ident, $is_valid:ident, $form:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn parse(id: &str) -> Result<Self, InvalidId> {
                if $is_valid(id) { Ok(Self(id.into())) } else { Err(InvalidId($form)) }
            }

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
id!(/// A team of a brokerage.
    TeamId);
id!(/// A user of a brokerage, with the id from the identity provider.
    UserId, is_user_name, USER_FORM);
id!(/// A module of the CRM: `escrows`, `listings`, …
    ModuleName);
id!(/// A record of a module.
    RecordId);
id!(/// One device or tab of a user; the client chooses the name.
    SessionName);
id!(/// The type of an event: `escrow:updated`.
    EventType);
id!(/// A task of a brokerage.
    TaskId);
id!(/// The type of a task, by which workers claim: `import_csv`.
    TaskType);
id!(/// The code of a task's failure: `rate_limited`.
    FaultCode);
id!(/// A file that a user has sent.
    UploadId);

/// The kind of caller that an id belongs to: a person and a service may have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    Person,
    Service,
    /// A process that carries out tasks.
    Worker,
}

impl Principal {
    /// The value in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Worker => "worker",
        }
    }
}

/// A record of a module, in the form `escrows/e-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordPath {
    pub module: ModuleName,
    pub id: RecordId,
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.module, self.id)
    }
}

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
    /// The part after the last colon.
    #[must_use]
    pub fn action(&self) -> &str {
        Self::action_of(&self.0)
    }

    /// The part after the last colon of a type's name.
    #[must_use]
    pub fn action_of(name: &str) -> &str {
        name.rsplit(':').next().unwrap_or(name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any id of a user, and often one with what separates things elsewhere.
    pub(crate) fn any_user() -> impl Strategy<Value = UserId> {
        let tricky = r#"[|:/ ,."'\\%@a]{1,6}"#;
        let any = "[!-~]([ -~]{0,126}[!-~])?";
        prop_oneof![tricky, any].prop_filter_map("a space at an end", |id| UserId::parse(&id).ok())
    }

    /// Any other name, and often one with colons in it.
    pub(crate) fn any_name<T: std::str::FromStr<Err: fmt::Debug> + fmt::Debug>()
    -> impl Strategy<Value = T> {
        prop_oneof!["[:.a]{1,4}", "[A-Za-z0-9_.:-]{1,64}"]
            .prop_map(|id| id.parse().expect("a name"))
    }

    #[test]
    fn ids_of_users_have_the_forms_of_identity_providers() {
        let longest = "|".repeat(USER_CHARS);
        for good in [
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "google-oauth2|1",
            "ann@example.com",
            "a:b",
            "u/x",
            "\"q'\\%,`${}<>",
            "CN=Ann Lee,O=Oak",
            "~",
            &longest,
        ] {
            assert_eq!(UserId::parse(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(USER_CHARS + 1);
        for bad in [
            "", " ", " a", "a ", "ä", "a\n", "a\tb", "a\0", "\u{7f}", &too_long,
        ] {
            assert_eq!(UserId::parse(bad), Err(InvalidId(USER_FORM)), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_records_have_the_same_form(
            (module, id) in (any_name::<ModuleName>(), any_name::<RecordId>())
        ) {
            let record = RecordPath { module, id };
            prop_assert_eq!(record.to_string().parse(), Ok(record));
        }
    }

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
    fn the_action_is_the_part_after_the_last_colon() {
        assert_eq!(
            EventType::parse("ai:task:progress").unwrap().action(),
            "progress"
        );
        assert_eq!(EventType::parse("tick").unwrap().action(), "tick");
    }
}
