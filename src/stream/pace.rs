//! How fast a stream wants its events.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Updates of a record that arrive within this time are one event, for streams that coalesce.
pub const UPDATE_INTERVAL: Duration = Duration::from_secs(1);
const BATCH_MS: RangeInclusive<u64> = 10..=1_000;

/// The parameters `batch` and `coalesce`. Without them, events are written when they arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPace {
    /// The events that arrive within this time are one write. Zero: they are written at once.
    pub batch: Duration,
    /// Whether updates of a record are merged.
    pub coalesces: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPace {
    #[error("must be a number of milliseconds from {} to {}", BATCH_MS.start(), BATCH_MS.end())]
    Batch,
    #[error("must be `fields`")]
    Coalesce,
}

impl InvalidPace {
    /// The name of the parameter.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Coalesce => "coalesce",
        }
    }
}

impl StreamPace {
    pub fn parse(batch: Option<&str>, coalesce: Option<&str>) -> Result<Self, InvalidPace> {
        let batch = match batch {
            None => Duration::ZERO,
            Some(text) => milliseconds(text).ok_or(InvalidPace::Batch)?,
        };
        let coalesces = match coalesce {
            None => false,
            Some("fields") => true,
            Some(_) => return Err(InvalidPace::Coalesce),
        };
        Ok(Self { batch, coalesces })
    }

    /// Whether every event is written when it arrives.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        *self == Self::default()
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let ms = text.parse().ok().filter(|_| is_number)?;
    BATCH_MS.contains(&ms).then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_parsed_and_nonsense_is_refused_by_name() {
        assert!(StreamPace::parse(None, None).unwrap().is_immediate());
        let both = StreamPace::parse(Some("100"), Some("fields")).unwrap();
        assert_eq!((both.batch.as_millis(), both.coalesces), (100, true));
        for bad in [
            "",
            "9",
            "1001",
            "+100",
            "1e2",
            "100ms",
            "-100",
            "99999999999999999999",
        ] {
            let error = StreamPace::parse(Some(bad), None).unwrap_err();
            assert_eq!(error.field(), "batch", "{bad:?}");
            assert!(error.to_string().contains("10 to 1000"), "{error}");
        }
        for bad in ["", "true", "Fields", "fields,records"] {
            let error = StreamPace::parse(None, Some(bad)).unwrap_err();
            assert_eq!(error.field(), "coalesce", "{bad:?}");
        }
    }
}
