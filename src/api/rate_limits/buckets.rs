//! Buckets of points, and what is left in one.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::api::problem::{Code, Problem};

/// A bucket holds the points of this many seconds.
const BURST_SECONDS: u32 = 10;
/// No answer asks to wait longer than this.
const LONGEST_WAIT_SECONDS: u64 = 60;
/// How long the head of any further refusal waits. A client that sends its next request after each answer, on
/// however many connections, then costs little.
const REFUSAL_DELAY: Duration = Duration::from_millis(500);

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, StateInformationMiddleware>;

#[derive(Debug)]
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    name: &'static str,
    /// Points per second.
    rate: u32,
    limiter: Option<Limiter<K>>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(name: &'static str, rate: u32) -> Self {
        let quota = NonZeroU32::new(rate).map(|rate| {
            let burst = NonZeroU32::new(rate.get().saturating_mul(BURST_SECONDS));
            Quota::per_second(rate).allow_burst(burst.unwrap_or(rate))
        });
        let limiter = quota.map(|quota| {
            let store = HashMapStateStore::default();
            Limiter::new(quota, store, MonotonicClock)
        });
        Self {
            name,
            rate,
            limiter,
        }
    }

    pub(super) fn take(&self, key: &K, points: u32) -> Result<RateState, RateState> {
        let state = |remaining, wait| RateState {
            bucket: self.name,
            rate: self.rate,
            remaining,
            wait,
            delay: None,
        };
        let (Some(limiter), Some(points)) = (&self.limiter, NonZeroU32::new(points)) else {
            return Ok(state(u32::MAX, Duration::ZERO));
        };
        match limiter.check_key_n(key, points) {
            Ok(Ok(taken)) => Ok(state(taken.remaining_burst_capacity(), Duration::ZERO)),
            Ok(Err(later)) => {
                let wait = later.wait_time_from(MonotonicClock.now());
                let missing = wait.as_nanos().saturating_mul(self.rate.into());
                let missing = u32::try_from(missing.div_ceil(1_000_000_000)).unwrap_or(u32::MAX);
                Err(state(points.get().saturating_sub(missing), wait))
            }
            // More points than the bucket holds: a rate below a tenth of the cost.
            Err(_) => Err(state(0, Duration::from_secs(LONGEST_WAIT_SECONDS))),
        }
    }

    pub(super) fn forget_full(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// A bucket after a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct RateState {
    bucket: &'static str,
    rate: u32,
    remaining: u32,
    /// Until the request would be accepted.
    wait: Duration,
    /// How long the answer is delayed. It is the refusal of a caller who has got many.
    delay: Option<Duration>,
}

impl RateState {
    /// The same refusal. It is delayed if `taken` is not a point of those without a delay.
    pub(super) fn slowed_by(self, taken: Result<Self, Self>) -> Self {
        let delay = taken.is_err().then_some(REFUSAL_DELAY);
        Self { delay, ..self }
    }

    pub(in crate::api) fn delay(self) -> Option<Duration> {
        self.delay
    }

    /// Writes the fields of the IETF's draft: the policy, and what is left of it.
    pub(in crate::api) fn write(self, headers: &mut HeaderMap) {
        if self.rate == 0 {
            return;
        }
        let Self {
            bucket,
            rate,
            remaining,
            ..
        } = self;
        let most = rate.saturating_mul(BURST_SECONDS);
        // Seconds until the bucket is full.
        let full_in = (most - remaining.min(most)).div_ceil(rate);
        let policy = format!("\"{bucket}\";q={most};w={BURST_SECONDS}");
        let limit = format!("\"{bucket}\";r={};t={full_in}", remaining.min(most));
        for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }

    fn wait_seconds(self) -> u32 {
        let seconds = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        u32::try_from(seconds.clamp(1, LONGEST_WAIT_SECONDS)).unwrap_or(u32::MAX)
    }

    pub(in crate::api) fn problem(self) -> Problem {
        let Self { bucket, rate, .. } = self;
        let detail = format!(
            "This {bucket} sends too many requests: {rate} points a second are allowed, a read costs \
             1 and a write 2. Retry-After says when to try again."
        );
        Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail)
            .retry_after(self.wait_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_what_is_left() {
        let buckets = Buckets::new("user", 1);
        assert!(buckets.take(&7, 7).is_ok());
        let refused = buckets.take(&7, 10).unwrap_err();
        assert_eq!(refused.remaining, 3);
        assert_eq!(refused.wait_seconds(), 7);
        assert!(buckets.take(&7, 3).is_ok());
        assert_eq!(buckets.take(&7, 1).unwrap_err().remaining, 0);
    }
}
