//! What signals are called. For each name there is one more word, which ends it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::log::SignalTypes;
use crate::platform::EventType;

/// Letters of a name; with what stands before it, it must still be a type of an event.
const NAME_CHARS: usize = 32;
/// Names that a deployment can have.
const MOST_NAMES: usize = 100;
/// How the types of events that tell of signals begin.
const TOLD: &str = "user:";
/// What the word that ends a signal begins with.
const STOPPED: &str = "stopped_";

/// A signal's name: `typing`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SignalName(Arc<str>);

impl SignalName {
    /// The type of the event that it goes on: `user:typing`.
    #[must_use]
    pub fn started(&self) -> EventType {
        Self::told(&self.0)
    }

    /// The type of the event that it is over: `user:stopped_typing`.
    #[must_use]
    pub fn stopped(&self) -> EventType {
        Self::told(&format!("{STOPPED}{}", self.0))
    }

    fn told(word: &str) -> EventType {
        EventType::parse(&format!("{TOLD}{word}")).expect("checked names are short enough")
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no name of a signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a signal's name: 1 to {NAME_CHARS} characters from a-z 0-9 _ -, \
     and not beginning with {STOPPED}"
)]
pub struct InvalidName(String);

impl FromStr for SignalName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let is_name = (1..=NAME_CHARS).contains(&text.len()) && text.bytes().all(allowed);
        if is_name && !text.starts_with(STOPPED) {
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

/// Whether a signal goes on or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// `typing`: it begins, or goes on.
    Goes,
    /// `stopped_typing`: it is over.
    Stopped,
}

/// The names that a deployment has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalNames(Arc<[SignalName]>);

impl SignalNames {
    /// What was said, if it is one of the words there are.
    #[must_use]
    pub fn get(&self, said: &str) -> Option<(&SignalName, Word)> {
        let (name, word) = match said.strip_prefix(STOPPED) {
            Some(name) => (name, Word::Stopped),
            None => (said, Word::Goes),
        };
        let name = self.0.iter().find(|known| *known.0 == *name)?;
        Some((name, word))
    }

    /// All words, for whoever has to choose one.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<_> = self
            .0
            .iter()
            .map(|name| format!("{name}, {STOPPED}{name}"))
            .collect();
        words.join(", ")
    }
}

impl SignalTypes for SignalNames {
    fn publish(&self, event_type: &EventType) -> bool {
        let word = event_type.as_str().strip_prefix(TOLD);
        word.is_some_and(|word| self.get(word).is_some())
    }
}

/// A text that lists no names of signals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNames {
    /// One of them is none.
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
    fn each_name_has_a_word_that_ends_it() {
        let names: SignalNames = "typing, on-call".parse().unwrap();
        let (typing, word) = names.get("stopped_typing").unwrap();
        assert_eq!(word, Word::Stopped);
        assert_eq!(names.get("typing"), Some((typing, Word::Goes)));
        assert_eq!(typing.started().as_str(), "user:typing");
        assert_eq!(typing.stopped().as_str(), "user:stopped_typing");
        let words = "typing, stopped_typing, on-call, stopped_on-call";
        assert_eq!(names.words(), words);
        for (told, is_ours) in [
            ("user:on-call", true),
            ("user:stopped_typing", true),
            ("user:created", false),
            ("typing", false),
        ] {
            assert_eq!(names.publish(&told.parse().unwrap()), is_ours, "{told}");
        }
        for unknown in ["", "Typing", "stopped_", "stopped_stopped_typing", "user"] {
            assert_eq!(names.get(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn rubbish_is_no_name() {
        let (longest, long) = ("x".repeat(32), "x".repeat(33));
        assert!(longest.parse::<SignalNames>().is_ok());
        for bad in ["", "a,", "A", "a b", "a:b", "ä", "stopped_a", &long] {
            assert!(bad.parse::<SignalNames>().is_err(), "{bad:?}");
        }
        let many = vec!["a"; MOST_NAMES + 1].join(",");
        assert_eq!(many.parse::<SignalNames>(), Err(InvalidNames::TooMany));
    }
}
