//! Which brokerage a user belongs to, if the token does not name it.
//!
//! The operator configures one SQL query. Its answers are cached for a configured time, and
//! simultaneous lookups of the same user share one query. `porchlight.forget_broker(…)` makes all
//! instances forget answers. A stream whose brokerage was looked up is checked again when the answer
//! expires, and ends when the answer has changed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::log::MembershipListener;
use crate::platform::BackgroundTask;
use crate::platform::Metrics;
use crate::platform::{BrokerId, TeamId, UserId};

mod cache;
mod forget;
mod query;
mod shared_lookups;
mod watched_streams;

pub use forget::ForgetRequest;
pub use query::{BrokerageQuery, QueryError};
pub use watched_streams::{StreamAddress, StreamWatch};

use cache::AnswerCache;
use shared_lookups::SharedLookups;
use watched_streams::WatchedStreams;

/// How long a request waits for an answer, including the wait for a connection.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Queries that one instance runs at a time, so that most connections stay free for requests.
const MOST_AT_ONCE: usize = 4;
/// The longest time that the answer "no brokerage" is cached.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// A user whose brokerage is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub user: UserId,
    /// The first team of the token.
    pub team: Option<TeamId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerageAnswer {
    /// The brokerage, if the user has one.
    pub broker: Option<BrokerId>,
    /// When the answer expires.
    pub until: Instant,
}

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
    /// How long an answer is cached.
    pub ttl: Duration,
    pub metrics: Arc<Metrics>,
}

#[derive(Default)]
struct LookupState {
    cache: AnswerCache,
    lookups: SharedLookups,
    streams: WatchedStreams,
    /// How often something was forgotten. An answer to a query that began before is not cached.
    forget_count: u64,
}

struct BrokeragesShared {
    parts: BrokerageParts,
    state: Mutex<LookupState>,
    query_permits: Arc<Semaphore>,
    /// Notified when something was forgotten: streams are checked at once.
    forgotten: Notify,
}

/// The brokerages of users whose tokens name none. Cheap to clone.
#[derive(Clone)]
pub struct Brokerages(Arc<BrokeragesShared>);

impl fmt::Debug for Brokerages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brokerages").finish_non_exhaustive()
    }
}

impl Brokerages {
    /// The handle, and the task that checks the streams of users that were looked up.
    #[must_use]
    pub fn start(parts: BrokerageParts, stop: CancellationToken) -> (Self, BackgroundTask) {
        let brokerages = Self::new(parts);
        let task = BackgroundTask::new(
            "the check of brokerages",
            brokerages.clone().run_checks(stop),
        );
        (brokerages, task)
    }

    fn new(parts: BrokerageParts) -> Self {
        let query_permits = Arc::new(Semaphore::new(MOST_AT_ONCE));
        let permits = &parts.metrics.permits;
        permits.watch("brokerage_lookups", MOST_AT_ONCE, &query_permits);
        Self(Arc::new(BrokeragesShared {
            parts,
            state: Mutex::default(),
            query_permits,
            forgotten: Notify::new(),
        }))
    }

    #[must_use]
    pub fn cached(&self, member: &Member) -> Option<BrokerageAnswer> {
        self.state().cache.get(member, Instant::now())
    }

    /// The brokerage of a user, from the cache or by the query.
    pub async fn find(&self, member: &Member) -> Result<BrokerId, LookupError> {
        self.answer(member).await?.broker()
    }

    async fn answer(&self, member: &Member) -> Result<BrokerageAnswer, LookupError> {
        if let Some(answer) = self.cached(member) {
            return Ok(answer);
        }
        let lookup = self.join_lookup(member);
        let lookup = lookup.ok_or(LookupError::Unavailable)?;
        let result = lookup.run(|| self.query_unless_cached(member)).await;
        lookup.finish(&result);
        result.map(|found| found.answer)
    }

    /// Another lookup may have ended after the cache was read.
    async fn query_unless_cached(&self, member: &Member) -> Result<BrokerageFound, LookupError> {
        let forget_count = self.state().forget_count;
        match self.cached(member) {
            Some(answer) => Ok(BrokerageFound {
                answer,
                forget_count,
            }),
            None => self.query(member).await,
        }
    }

    async fn query(&self, member: &Member) -> Result<BrokerageFound, LookupError> {
        let forget_count = self.state().forget_count;
        // The answer may be as old as the start of the query.
        let at = Instant::now();
        let query = async {
            let _permit = self.0.query_permits.acquire().await;
            self.0.parts.query.run(member).await
        };
        let (outcome, found) = match timeout(LOOKUP_TIMEOUT, query).await {
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
        let broker = found.ok_or(LookupError::Unavailable)?;
        let until = at + self.ttl(broker.is_some());
        Ok(BrokerageFound {
            answer: BrokerageAnswer { broker, until },
            forget_count,
        })
    }

    fn ttl(&self, is_known: bool) -> Duration {
        let ttl = self.0.parts.ttl;
        if is_known { ttl } else { ttl.min(NEGATIVE_TTL) }
    }

    /// Forgets answers that may be wrong now.
    pub fn forget(&self, what: &ForgetRequest) {
        let mut state = self.state();
        state.forget_count += 1;
        state.cache.forget(what);
        state.lookups.forget(what);
        state.streams.forget(what, Instant::now());
        drop(state);
        self.0.forgotten.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, LookupState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MembershipListener for Brokerages {
    fn changed(&self, notice: &str) {
        self.forget(&ForgetRequest::parse(notice));
    }

    fn missed(&self) {
        self.forget(&ForgetRequest::everything());
    }
}

impl BrokerageAnswer {
    pub fn broker(self) -> Result<BrokerId, LookupError> {
        self.broker.ok_or(LookupError::Unknown)
    }
}

#[derive(Clone, Debug)]
struct BrokerageFound {
    answer: BrokerageAnswer,
    /// The count when the query began.
    forget_count: u64,
}

#[cfg(test)]
mod tests;
