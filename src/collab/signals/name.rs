//! The names of signals. For each name there are two event types: `user:typing` and
//! `user:stopped_typing`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::log::SignalTypes;
use crate::platform::EventType;

/// With its prefixes, a name must still be a valid event type.
const NAME_CHARS: usize = 32;
/// Names that can be configured.
const MOST_NAMES: usize = 100;
const TYPE_PREFIX: &str = "user:";
const STOP_PREFIX: &str = "stopped_";

/// For example `typing`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SignalName(Arc<str>);

impl SignalName {
    /// The type of a start or renewal: `user:typing`.
    #[must_use]
    pub fn started(&self) -> EventType {
        Self::event_type(&self.0)
    }

    /// The type of the end: `user:stopped_typing`.
    #[must_use]
    pub fn stopped(&self) -> EventType {
        Self::event_type(&format!("{STOP_PREFIX}{}", self.0))
    }

    fn event_type(text: &str) -> EventType {
        EventType::parse(&format!("{TYPE_PREFIX}{text}")).expect("checked names are short enough")
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a signal's name: 1 to {NAME_CHARS} characters from a-z 0-9 _ -, \
     and not beginning with {STOP_PREFIX}"
)]
pub struct InvalidName(String);

impl FromStr for SignalName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let is_name = (1..=NAME_CHARS).contains(&text.len()) && text.bytes().all(allowed);
        if is_name && !text.starts_with(STOP_PREFIX) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }
}

impl TryFrom<String> for SignalName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

/// What a client wants of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalAction {
    /// `typing`: starts or renews it.
    Start,
    /// `stopped_typing`: stops it.
    Stop,
}

/// The configured names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalNames(Arc<[SignalName]>);

impl SignalNames {
    /// The signal and the action that a client's text names.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(&SignalName, SignalAction)> {
        let (name, action) = match text.strip_prefix(STOP_PREFIX) {
            Some(name) => (name, SignalAction::Stop),
            None => (text, SignalAction::Start),
        };
        let name = self.0.iter().find(|known| *known.0 == *name)?;
        Some((name, action))
    }

    /// All texts that [`SignalNames::find`] accepts.
    #[must_use]
    pub fn accepted(&self) -> String {
        let names = self.0.iter();
        let accepted: Vec<_> = names
            .map(|name| format!("{name}, {STOP_PREFIX}{name}"))
            .collect();
        accepted.join(", ")
    }
}

impl SignalTypes for SignalNames {
    fn contains(&self, event_type: &EventType) -> bool {
        let text = event_type.as_str().strip_prefix(TYPE_PREFIX);
        text.is_some_and(|text| self.find(text).is_some())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNames {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("more than {MOST_NAMES} names")]
    TooMany,
}

impl FromStr for SignalNames {
    type Err = InvalidNames;
    fn from_str(text: &str) -> Result<Self, InvalidNames> {
        let names: Vec<SignalName> = text
            .split(',')
            .map(|name| name.trim().parse())
            .collect::<Result<_, _>>()?;
        if names.len() > MOST_NAMES {
            return Err(InvalidNames::TooMany);
        }
        Ok(Self(names.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_text_that_stops_it() {
        let names: SignalNames = "typing, on-call".parse().unwrap();
        let (typing, action) = names.find("stopped_typing").unwrap();
        assert_eq!(action, SignalAction::Stop);
        assert_eq!(names.find("typing"), Some((typing, SignalAction::Start)));
        assert_eq!(typing.started().as_str(), "user:typing");
        assert_eq!(typing.stopped().as_str(), "user:stopped_typing");
        let accepted = "typing, stopped_typing, on-call, stopped_on-call";
        assert_eq!(names.accepted(), accepted);
        for (event_type, is_signal) in [
            ("user:on-call", true),
            ("user:stopped_typing", true),
            ("user:created", false),
            ("typing", false),
        ] {
            let is_found = names.contains(&event_type.parse().unwrap());
            assert_eq!(is_found, is_signal, "{event_type}");
        }
        for unknown in ["", "Typing", "stopped_", "stopped_stopped_typing", "user"] {
            assert_eq!(names.find(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        let (longest, long) = ("x".repeat(32), "x".repeat(33));
        assert!(longest.parse::<SignalNames>().is_ok());
        for bad in ["", "a,", "A", "a b", "a:b", "ä", "stopped_a", &long] {
            assert!(bad.parse::<SignalNames>().is_err(), "{bad:?}");
        }
        let many = vec!["a"; MOST_NAMES + 1].join(",");
        assert_eq!(many.parse::<SignalNames>(), Err(InvalidNames::TooMany));
    }
}
