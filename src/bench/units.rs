//! Numbers from one kind into another, in one place.

use std::time::Duration;

/// The whole nanoseconds of a duration.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A count as a float; exact far beyond what a run can count.
#[expect(clippy::cast_precision_loss, reason = "counts stay under 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// `count / of`, and 0 of nothing.
pub(super) fn per(count: u64, of: f64) -> f64 {
    if of > 0.0 { float(count) / of } else { 0.0 }
}

/// Milliseconds of whole microseconds.
pub(super) fn millis(micros: u64) -> f64 {
    float(micros) / 1e3
}

/// A small count as an index.
pub(super) fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A length as a count.
pub(super) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
