//! A position in a log, as clients keep it: `1042-k7q2mw`, or a bare `1042` typed by a person.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The random tag of a log. It tells positions of different logs apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch(Arc<str>);

impl Epoch {
    pub const LEN: usize = 6;
    const MAX_LEN: usize = 16;

    /// An epoch from the database.
    #[must_use]
    pub fn stored(tag: &str) -> Self {
        Self(tag.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cursor at `position` of this log.
    #[must_use]
    pub fn at(&self, position: i64) -> Cursor {
        Cursor {
            position,
            epoch: Some(self.clone()),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The client has every event up to this position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub position: i64,
    /// Unknown when a person typed a bare number.
    pub epoch: Option<Epoch>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a position: expected one as events carry it in their id, like 1042-k7q2mw")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (number, epoch) = match text.split_once('-') {
            Some((number, epoch)) => (number, Some(epoch)),
            None => (text, None),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidCursor);
        }
        let position = number.parse().map_err(|_| InvalidCursor)?;
        let is_tag = |tag: &str| {
            (1..=Epoch::MAX_LEN).contains(&tag.len())
                && tag.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        match epoch {
            Some(tag) if !is_tag(tag) => Err(InvalidCursor),
            tag => Ok(Self {
                position,
                epoch: tag.map(Epoch::stored),
            }),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.epoch {
            Some(epoch) => write!(f, "{}-{epoch}", self.position),
            None => write!(f, "{}", self.position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        for text in ["0", "1042", "1042-k7q2mw", "9223372036854775807-a"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_text_is_no_cursor() {
        let long = format!("1-{}", "a".repeat(17));
        for text in [
            "",
            "-",
            "-5",
            "+5",
            "1-",
            "1-k 7",
            "1-ä",
            "x",
            "1.5",
            "9223372036854775808",
            " 1",
            &long,
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text:?}");
        }
    }
}
