//! Progress from 0 to 100 percent, in steps of a tenth.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(i16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to 100")]
pub struct InvalidPercent;

impl Percent {
    pub const WHOLE: Self = Self(1_000);

    pub fn of_permille(permille: i16) -> Result<Self, InvalidPercent> {
        let is_valid = (0..=1_000).contains(&permille);
        is_valid.then_some(Self(permille)).ok_or(InvalidPercent)
    }

    #[must_use]
    pub fn permille(self) -> i16 {
        self.0
    }

    /// Rounds to tenths.
    pub fn of_number(percent: f64) -> Result<Self, InvalidPercent> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(InvalidPercent);
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is at most 1,000")]
        Ok(Self((percent * 10.0).round() as i16))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 10 == 0 {
            serializer.serialize_i16(self.0 / 10)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 10.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::of_number(number).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_reads_back_as_it_was_written() {
        for text in ["0", "0.1", "7", "33.3", "99.9", "100"] {
            let percent: Percent = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&percent).unwrap(), text);
        }
        for (text, kept) in [
            ("33.33", "33.3"),
            ("66.666666666666671", "66.7"),
            ("1e-9", "0"),
        ] {
            let percent: Percent = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&percent).unwrap(), kept);
        }
        for text in ["-1", "-0.01", "100.01", "1e9", "\"7\"", "true"] {
            assert!(serde_json::from_str::<Percent>(text).is_err(), "{text}");
        }
    }
}
