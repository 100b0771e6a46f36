//! How many requests a user, a brokerage, a service, a worker and an address may make.
//!
//! Each has a bucket of points, which fills at a steady rate and holds those of ten seconds. A request
//! takes points according to its work: see [`super::routes`].
//!
//! A refusal costs more than its caller, who may send the next request at once. So many refusals in a row
//! are delayed.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;
use rustc_hash::FxHashMap;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::client_address::{client_address, network};
use crate::identity::Caller;
use crate::platform::{BrokerId, Principal, UserId};

mod buckets;

use buckets::Buckets;
pub(super) use buckets::RateState;

/// How often full buckets are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(30);
/// An address without points gets no lookups for so long. Its requests that run at the same time would all
/// begin one otherwise.
const EXHAUSTED_FOR: Duration = Duration::from_secs(1);
/// When more addresses are exhausted, all of them are forgotten.
const MOST_EXHAUSTED: usize = 65_536;
/// So many refusals per second, and those of ten seconds at once, a caller or an address gets without a delay.
const PROMPT_REFUSALS: u32 = 10;

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
        let network = self.network(request);
        self.addresses.take(&network, 1).map_err(|state| {
            self.exhausted.add(network);
            state.slowed_by(self.refused_addresses.take(&network, 1))
        })
    }

    /// Whether the address of a request has sent so much without a valid token that nothing is looked up for
    /// it at the moment.
    pub(super) fn is_exhausted(&self, request: &HttpRequest) -> bool {
        self.exhausted.contains(self.network(request))
    }

    /// What counts as one address.
    pub(super) fn network(&self, request: &HttpRequest) -> IpAddr {
        network(client_address(request, self.trusted_proxies))
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
