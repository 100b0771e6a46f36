//! How many requests a user, a brokerage, a service, a worker and an address may make.
//!
//! Each has a bucket of points, which fills at a steady rate and holds those of ten seconds. A request
//! takes points according to its work: see [`super::routes`].
//!
//! A refusal costs more than its caller, who may send the next request at once. So many refusals in a row
//! are delayed.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use rustc_hash::FxHashMap;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::client_address::{client_address, network};
use super::problem::{Code, Problem};
use crate::identity::Caller;
use crate::platform::{BrokerId, Principal, UserId};

/// A bucket holds the points of this many seconds.
pub const BURST_SECONDS: u32 = 10;
/// How often full buckets are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(30);
/// An address without points gets no lookups for so long. Its requests that run at the same time would all
/// begin one otherwise.
const EXHAUSTED_FOR: Duration = Duration::from_secs(1);
/// When more addresses are exhausted, all of them are forgotten.
const MOST_EXHAUSTED: usize = 65_536;
/// No answer asks to wait longer than this.
const LONGEST_WAIT_SECONDS: u64 = 60;
/// So many refusals per second, and those of ten seconds at once, a caller or an address gets without a delay.
const PROMPT_REFUSALS: u32 = 10;
/// How long the head of any further refusal waits. A client that sends its next request after each answer, on
/// however many connections, then costs little.
const REFUSAL_DELAY: Duration = Duration::from_millis(500);

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Points per second; 0 switches a limit off.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub user: u32,
    pub brokerage: u32,
    pub service: u32,
    pub worker: u32,
    pub address: u32,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallerKey {
    broker: BrokerId,
    user: UserId,
}

#[derive(Debug)]
pub struct RateLimits {
    users: Buckets<CallerKey>,
    brokerages: Buckets<BrokerId>,
    services: Buckets<CallerKey>,
    workers: Buckets<CallerKey>,
    addresses: Buckets<IpAddr>,
    exhausted: ExhaustedAddresses,
    refused_callers: Buckets<CallerKey>,
    refused_addresses: Buckets<IpAddr>,
    trusted_proxies: usize,
}

impl RateLimits {
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            users: Buckets::new("user", rates.user),
            brokerages: Buckets::new("brokerage", rates.brokerage),
            services: Buckets::new("service", rates.service),
            workers: Buckets::new("worker", rates.worker),
            addresses: Buckets::new("address", rates.address),
            exhausted: ExhaustedAddresses::default(),
            refused_callers: Buckets::new("refusals", PROMPT_REFUSALS),
            refused_addresses: Buckets::new("refusals", PROMPT_REFUSALS),
            trusted_proxies: rates.trusted_proxies,
        }
    }

    /// Takes the points of a request, first from the bucket of the caller, then from that of their
    /// brokerage.
    pub(super) fn take(&self, caller: &Caller, cost: RequestCost) -> Result<RateState, RateState> {
        let key = CallerKey {
            broker: caller.broker.clone(),
            user: caller.user.clone(),
        };
        let taken = self.take_points(&key, caller.role.principal(), cost);
        taken.map_err(|state| state.slowed_by(self.refused_callers.take(&key, 1)))
    }

    fn take_points(
        &self,
        key: &CallerKey,
        principal: Principal,
        cost: RequestCost,
    ) -> Result<RateState, RateState> {
        let own = match principal {
            Principal::Person => &self.users,
            Principal::Service => &self.services,
            Principal::Worker => &self.workers,
        };
        let state = own.take(key, cost.points)?;
        if cost.counts_for_brokerage && principal == Principal::Person {
            self.brokerages.take(&key.broker, cost.points)?;
        }
        Ok(state)
    }

    /// Takes a point of the address of a request without a valid token.
    pub(super) fn take_refused(&self, request: &HttpRequest) -> Result<RateState, RateState> {
        let network = network(client_address(request, self.trusted_proxies));
        self.addresses.take(&network, 1).map_err(|state| {
            self.exhausted.add(network);
            state.slowed_by(self.refused_addresses.take(&network, 1))
        })
    }

    /// Whether the address of a request has sent so much without a valid token that nothing is looked up for
    /// it at the moment.
    pub(super) fn is_exhausted(&self, request: &HttpRequest) -> bool {
        let address = client_address(request, self.trusted_proxies);
        self.exhausted.contains(network(address))
    }

    /// The address of a client, for admins.
    pub(super) fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let address = client_address(request, self.trusted_proxies);
        (!address.is_unspecified()).then(|| address.to_canonical())
    }

    /// Forgets full buckets until `stop`.
    pub async fn forget_full(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FORGET_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.users.forget_full();
            self.brokerages.forget_full();
            self.services.forget_full();
            self.workers.forget_full();
            self.addresses.forget_full();
            self.exhausted.forget_old();
            self.refused_callers.forget_full();
            self.refused_addresses.forget_full();
        }
    }
}

/// Addresses that were refused a point a moment ago.
#[derive(Debug, Default)]
struct ExhaustedAddresses(Mutex<FxHashMap<IpAddr, Instant>>);

impl ExhaustedAddresses {
    fn add(&self, address: IpAddr) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= MOST_EXHAUSTED {
            until.clear();
        }
        until.insert(address, Instant::now() + EXHAUSTED_FOR);
    }

    fn contains(&self, address: IpAddr) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&address).is_some_and(|at| Instant::now() < *at)
    }

    fn forget_old(&self) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        until.retain(|_, at| now < *at);
    }
}

/// The points of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestCost {
    pub(super) points: u32,
    /// Streams do not: all users of a brokerage reconnect at once after a restart.
    pub(super) counts_for_brokerage: bool,
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, StateInformationMiddleware>;

#[derive(Debug)]
struct Buckets<K: Hash + Eq + Clone> {
    name: &'static str,
    /// Points per second.
    rate: u32,
    limiter: Option<Limiter<K>>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(name: &'static str, rate: u32) -> Self {
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

    fn take(&self, key: &K, points: u32) -> Result<RateState, RateState> {
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

    fn forget_full(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// A bucket after a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateState {
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
    fn slowed_by(self, taken: Result<Self, Self>) -> Self {
        let delay = taken.is_err().then_some(REFUSAL_DELAY);
        Self { delay, ..self }
    }

    pub(super) fn delay(self) -> Option<Duration> {
        self.delay
    }

    /// Writes the fields of the IETF's draft: the policy, and what is left of it.
    pub(super) fn write(self, headers: &mut HeaderMap) {
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

    pub(super) fn problem(self) -> Problem {
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
