//! Texts of a bounded length.

use serde::{Deserialize, Serialize};

/// A text of 1 to `CHARS` characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BoundedText<const CHARS: usize>(String);

pub type Title = BoundedText<200>;
pub type Message = BoundedText<1_000>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {0} characters, none of them NUL")]
pub struct InvalidBoundedText(usize);

impl<const CHARS: usize> BoundedText<CHARS> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text from the database, which was checked before it was written.
    pub(super) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl<const CHARS: usize> TryFrom<String> for BoundedText<CHARS> {
    type Error = InvalidBoundedText;
    fn try_from(text: String) -> Result<Self, InvalidBoundedText> {
        // Postgres cannot store NUL in a text.
        let is_valid = (1..=CHARS).contains(&text.chars().count()) && !text.contains('\0');
        is_valid
            .then_some(Self(text))
            .ok_or(InvalidBoundedText(CHARS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_and_not_bytes() {
        let line = |text: &str| BoundedText::<3>::try_from(text.to_owned()).is_ok();
        assert!(line("a") && line("äöü") && line("a\nb"));
        assert!(!line("") && !line("äöüß") && !line("a\0"));
    }
}
