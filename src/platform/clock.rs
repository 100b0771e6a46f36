//! Time and randomness. They are passed in, so that tests can set them.

use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::OffsetDateTime;
use tokio::time::Instant;

/// The zero of [`SmallInstant`].
static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);

/// An instant in half of its size, for what exists per stream. Instants before the first one of the process count
/// as that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SmallInstant {
    /// Nanoseconds, from one on, so that an `Option` is no larger.
    nanos: NonZeroU64,
}

impl SmallInstant {
    #[must_use]
    pub fn get(self) -> Instant {
        *ZERO + Duration::from_nanos(self.nanos.get() - 1)
    }
}

impl From<Instant> for SmallInstant {
    fn from(instant: Instant) -> Self {
        let since = instant.saturating_duration_since(*ZERO).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let nanos = NonZeroU64::MIN.saturating_add(since);
        Self { nanos }
    }
}

#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    pub fn system() -> Self {
        Self(Arc::new(OffsetDateTime::now_utc))
    }

    /// A clock that returns what `now` returns.
    pub fn of(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// A source of randomness for jitter and tags (not for secrets).
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    /// Seeded by the operating system.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's randomness"
    )]
    pub fn system() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_rng(&mut rand::rng()))))
    }

    /// The same seed leads to the same values.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A duration from `from` to `to`, uniformly distributed.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        let spread = to.saturating_sub(from);
        from + spread.mul_f64(self.with(RngExt::random::<f64>))
    }

    /// A tag of `len` characters, without those that look alike.
    #[must_use]
    pub fn tag(&self, len: usize) -> String {
        const LETTERS: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";
        let letter = |rng: &mut StdRng| char::from(LETTERS[rng.random_range(0..LETTERS.len())]);
        self.with(|rng| (0..len).map(|_| letter(rng)).collect())
    }

    /// A whole number from `least` to `most`, uniformly distributed.
    #[must_use]
    pub fn whole(&self, least: i64, most: i64) -> i64 {
        self.with(|rng| rng.random_range(least..=most.max(least)))
    }

    /// Whether something happens that happens in this share of all cases. A share of 0 draws nothing.
    #[must_use]
    pub fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.with(RngExt::random::<f64>) < share
    }

    #[must_use]
    pub fn bytes<const LEN: usize>(&self) -> [u8; LEN] {
        self.with(RngExt::random)
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(
            &mut self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_instant_is_the_instant_that_it_was_made_of() {
        let zero = *ZERO;
        for since in [0, 1, 999_999_999, 3_600_000_000_000] {
            let instant = zero + Duration::from_nanos(since);
            assert_eq!(SmallInstant::from(instant).get(), instant);
        }
        let far = zero + Duration::from_hours(24 * 365 * 8_000);
        assert!(SmallInstant::from(far).get() > zero + Duration::from_hours(24 * 365 * 500));
        assert_eq!(size_of::<Option<SmallInstant>>(), 8);
    }
}
