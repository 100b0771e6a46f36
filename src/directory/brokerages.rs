//! Which brokerage a user belongs to, where the token does not say it.
//!
//! The operator configures one SQL query. Its answers are cached for a configured time, and lookups
//! of the same user at the same moment share one query. `porchlight.forget_broker(…)` makes all
//! instances forget answers. Streams that were opened with a looked-up brokerage are checked again
//! when their answer is too old, and end when it has changed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

use crate::log::MembershipListener;
use crate::platform::Metrics;
use crate::platform::{BrokerId, TeamId, UserId};

mod cache;
mod flights;
mod forget;
mod query;
mod streams;

pub use forget::Forget;
pub use query::{BrokerageQuery, QueryError};
pub use streams::{StreamAt, StreamWatch};

use cache::AnswerCache;
use flights::Flights;
use streams::WatchedStreams;

/// How long a request waits for an answer, the wait for a connection included.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Queries that one instance runs at a time: most connections stay free for requests.
const MOST_AT_ONCE: usize = 4;
/// An answer that there is no brokerage is cached for no longer than this.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Whose brokerage is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The user of a token.
    pub user: UserId,
    /// The first team that the token names.
    pub team: Option<TeamId>,
}

/// An answer, and how long it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The brokerage, if the user has one.
    pub broker: Option<BrokerId>,
    /// From then on the query is asked again.
    pub until: Instant,
}

/// Why a brokerage is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("your token names no brokerage (claim broker_id), and none is known for its user")]
    Unknown,
    /// The query could not be run, or too many wait for it.
    #[error("your brokerage could not be looked up; try again")]
    Unavailable,
}

pub struct BrokerageParts {
    pub query: BrokerageQuery,
    /// How long an answer counts.
    pub ttl: Duration,
    pub metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    cache: AnswerCache,
    flights: Flights,
    streams: WatchedStreams,
    /// How often something was forgotten: what was asked before is not cached after it.
    forgotten: u64,
}

struct Shared {
    parts: BrokerageParts,
    state: Mutex<State>,
    slots: Semaphore,
    /// Something was forgotten: streams are checked at once.
    changed: Notify,
}

/// The brokerages of users whose tokens name none. Cheap to clone.
#[derive(Clone)]
pub struct Brokerages(Arc<Shared>);

impl fmt::Debug for Brokerages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brokerages").finish_non_exhaustive()
    }
}

impl Brokerages {
    #[must_use]
    pub fn new(parts: BrokerageParts) -> Self {
        Self(Arc::new(Shared {
            parts,
            state: Mutex::default(),
            slots: Semaphore::new(MOST_AT_ONCE),
            changed: Notify::new(),
        }))
    }

    /// The answer that is cached, if any.
    #[must_use]
    pub fn known(&self, member: &Member) -> Option<Answer> {
        self.state().cache.get(member, Instant::now())
    }

    /// The brokerage of a user, from the cache or by the query.
    pub async fn find(&self, member: &Member) -> Result<BrokerId, LookupError> {
        self.answer(member).await?.broker()
    }

    async fn answer(&self, member: &Member) -> Result<Answer, LookupError> {
        if let Some(answer) = self.known(member) {
            return Ok(answer);
        }
        let flight = self.board(member).ok_or(LookupError::Unavailable)?;
        let outcome = flight.outcome(|| self.ask(member)).await;
        flight.land(&outcome);
        outcome.map(|found| found.answer)
    }

    async fn ask(&self, member: &Member) -> Result<Found, LookupError> {
        let forgotten = self.state().forgotten;
        // The answer may be as old as the question.
        let at = Instant::now();
        let asked = async {
            let _slot = self.0.slots.acquire().await;
            self.0.parts.query.ask(member).await
        };
        let asked = timeout(LOOKUP_TIMEOUT, asked).await;
        let (outcome, answered) = match asked {
            Ok(Ok(Some(broker))) => ("found", Some(Some(broker))),
            Ok(Ok(None)) => ("none", Some(None)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a brokerage could not be looked up");
                ("failed", None)
            }
            Err(_) => {
                tracing::warn!("a brokerage was not looked up in time");
                ("failed", None)
            }
        };
        let lookups = &self.0.parts.metrics.broker_lookups;
        lookups.get_or_create(&[("outcome", outcome)]).inc();
        let broker = answered.ok_or(LookupError::Unavailable)?;
        let until = at + self.ttl(broker.is_some());
        let answer = Answer { broker, until };
        Ok(Found { answer, forgotten })
    }

    fn ttl(&self, is_known: bool) -> Duration {
        let ttl = self.0.parts.ttl;
        if is_known { ttl } else { ttl.min(NEGATIVE_TTL) }
    }

    /// These answers may be wrong now.
    pub fn forget(&self, what: &Forget) {
        let mut state = self.state();
        state.forgotten += 1;
        state.cache.forget(what);
        state.flights.forget(what);
        state.streams.forget(what, Instant::now());
        drop(state);
        self.0.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MembershipListener for Brokerages {
    fn changed(&self, notice: &str) {
        self.forget(&Forget::parse(notice));
    }

    fn missed(&self) {
        self.forget(&Forget::everything());
    }
}

impl Answer {
    /// The brokerage, or that there is none.
    pub fn broker(self) -> Result<BrokerId, LookupError> {
        self.broker.ok_or(LookupError::Unknown)
    }
}

#[derive(Clone, Debug)]
struct Found {
    answer: Answer,
    /// How often something had been forgotten when it was asked.
    forgotten: u64,
}

#[cfg(test)]
mod tests;
