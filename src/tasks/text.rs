//! Words of people and programs, of a bounded length.

use serde::{Deserialize, Serialize};

/// A text of at most `CHARS` characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Line<const CHARS: usize>(String);

/// What a task is called.
pub type Title = Line<200>;
pub type Message = Line<1_000>;

/// A text that is too long, or cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {0} characters, none of them NUL")]
pub struct InvalidLine(usize);

impl<const CHARS: usize> Line<CHARS> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text that was checked when it was written.
    pub(super) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl<const CHARS: usize> TryFrom<String> for Line<CHARS> {
    type Error = InvalidLine;
    fn try_from(text: String) -> Result<Self, InvalidLine> {
        // Postgres keeps no NUL in a text.
        let is_valid = (1..=CHARS).contains(&text.chars().count()) && !text.contains('\0');
        is_valid.then_some(Self(text)).ok_or(InvalidLine(CHARS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_and_not_bytes() {
        let line = |text: &str| Line::<3>::try_from(text.to_owned()).is_ok();
        assert!(line("a") && line("äöü") && line("a\nb"));
        assert!(!line("") && !line("äöüß") && !line("a\0"));
    }
}
