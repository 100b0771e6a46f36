//! Conversions between kinds of numbers.

use std::time::Duration;

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A count as a float. It is exact far beyond what a run can count.
#[expect(clippy::cast_precision_loss, reason = "counts stay under 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// `count / of`, or 0 when `of` is 0.
pub(crate) fn per(count: u64, of: f64) -> f64 {
    if of > 0.0 { float(count) / of } else { 0.0 }
}

/// Microseconds as milliseconds.
pub(crate) fn millis(micros: u64) -> f64 {
    float(micros) / 1e3
}

pub(crate) fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
