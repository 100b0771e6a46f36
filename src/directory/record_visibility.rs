//! Decides who may see a record.
//!
//! The newest event about a record decides: its audience, a team or the whole brokerage, may see
//! the record. A record without events is visible to the whole brokerage.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::identity::Caller;
use crate::log::records;
use crate::log::{Audience, Event, RecordAudience};
use crate::platform::BackgroundTask;
use crate::platform::database::limited;
use crate::platform::{BatchLimits, Batcher, Batches, Pending};
use crate::platform::{BrokerId, RecordPath};
use crate::platform::{Limit, Pool, Queues};

mod cache;
use cache::{AudienceCache, AudienceKey};

/// How long an audience counts that no event has changed. Events update the cache at once. The limit
/// is for the case that this instance misses one.
const AUDIENCE_TTL: Duration = Duration::from_secs(15);
const LIMITS: BatchLimits = BatchLimits {
    name: "record_audiences",
    queue: 8_192,
    batch: 1_000,
    interval: Duration::from_millis(100),
    spaces_single_requests: true,
    answer_timeout: Duration::from_secs(5),
};

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such record, or the caller may not see it. The caller cannot tell which.
    #[error("there is no record {0} that you may see")]
    Unknown(RecordPath),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database did not answer in time, or too many requests wait.
    #[error("it is not known at the moment who may see the record")]
    Unavailable,
}

/// Who may see a record. It is an error if the caller may not.
pub async fn audience_for(
    connection: &mut PgConnection,
    caller: &Caller,
    record: &RecordPath,
) -> Result<Audience, RecordError> {
    let audience = records::audience(connection, &caller.broker, record).await?;
    for_caller(caller, record, audience.unwrap_or(Audience::Broker))
}

fn for_caller(
    caller: &Caller,
    record: &RecordPath,
    audience: Audience,
) -> Result<Audience, RecordError> {
    match &audience {
        Audience::Team(team) if !caller.is_on(team) => Err(RecordError::Unknown(record.clone())),
        _ => Ok(audience),
    }
}

/// Who may see what the caller does with a record of this audience. It includes the caller's own
/// devices.
#[must_use]
pub fn activity_audiences(caller: &Caller, audience: &Audience) -> Arc<[Audience]> {
    let mut audiences = vec![Audience::User(caller.user.clone()), audience.clone()];
    if *audience == Audience::Broker {
        audiences.extend(caller.teams.iter().cloned().map(Audience::Team));
    }
    audiences.into()
}

/// The audiences of records, cached. Requests for others share a query. Cheap to clone.
#[derive(Clone)]
pub struct RecordAudiences {
    cache: Arc<Mutex<AudienceCache>>,
    lookups: Batcher<AudienceKey, RecordAudience>,
}

impl RecordAudiences {
    /// An empty cache, and the task that runs the queries.
    #[must_use]
    pub fn start(pool: Pool, queues: &Queues, stop: CancellationToken) -> (Self, BackgroundTask) {
        let (lookups, batches) = Batcher::new(LIMITS, queues, stop);
        let cache = Arc::<Mutex<AudienceCache>>::default();
        let audiences = Self { cache, lookups };
        let task = BackgroundTask::new(
            "the loader of record audiences",
            audiences.clone().run(pool, batches),
        );
        (audiences, task)
    }

    /// Who may see a record. It is an error if the caller may not.
    pub async fn audience_for(
        &self,
        caller: &Caller,
        record: &RecordPath,
    ) -> Result<Audience, RecordError> {
        let key = AudienceKey {
            broker: caller.broker.clone(),
            record: record.clone(),
        };
        let shown = self.audience(key).await?;
        for_caller(caller, record, shown.audience)
    }

    async fn audience(&self, key: AudienceKey) -> Result<RecordAudience, RecordError> {
        let cached = self.cache().get(&key, Instant::now());
        if let Some(shown) = cached {
            return Ok(shown);
        }
        let found = self.lookups.ask(key).await;
        found.map_err(|_| RecordError::Unavailable)
    }

    /// The audiences of a brokerage's records, without those that cannot be looked up now.
    pub async fn audiences(
        &self,
        broker: &BrokerId,
        records: Vec<RecordPath>,
    ) -> FxHashMap<RecordPath, RecordAudience> {
        let lookups = records.into_iter().map(async |record| {
            let key = AudienceKey {
                broker: broker.clone(),
                record: record.clone(),
            };
            Some((record, self.audience(key).await.ok()?))
        });
        let found = futures_util::future::join_all(lookups).await;
        found.into_iter().flatten().collect()
    }

    /// Applies committed events of a brokerage. Returns the newest known audiences of their records.
    #[must_use]
    pub fn apply_events(
        &self,
        broker: &BrokerId,
        events: &[Event],
    ) -> FxHashMap<RecordPath, RecordAudience> {
        self.cache().apply_events(broker, events, Instant::now())
    }

    /// This instance did not read some events of a brokerage's log.
    pub fn forget_brokerage(&self, broker: &BrokerId) {
        self.cache().forget_brokerage(broker);
    }

    /// This instance may have missed events of any log.
    pub fn forget_all(&self) {
        self.cache().forget_all();
    }

    fn cache(&self) -> MutexGuard<'_, AudienceCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self, pool: Pool, mut batches: Batches<AudienceKey, RecordAudience>) {
        while let Some(batch) = batches.next().await {
            if let Err(error) = self.answer(&pool, batch).await {
                self.cache().end_query();
                tracing::warn!(%error, "the audiences of records could not be looked up");
            }
        }
    }

    async fn answer(
        &self,
        pool: &Pool,
        requests: Vec<Pending<AudienceKey, RecordAudience>>,
    ) -> sqlx::Result<()> {
        let keys = requests.iter().map(|pending| &pending.request);
        let records = keys
            .clone()
            .map(|key| (key.broker.clone(), key.record.clone()));
        let records: Vec<_> = records.collect();
        let found = limited(Limit::QUICK, async {
            let mut connection = pool.acquire().await?;
            // Events that come from now on are either in the query's result or newer than it.
            self.cache().begin_query(keys.cloned());
            records::audiences(&mut connection, &records).await
        });
        let found = found.await?;
        let (mut cache, now) = (self.cache(), Instant::now());
        for (pending, found) in requests.into_iter().zip(found) {
            let shown = cache.add_found(pending.request.clone(), found, now);
            pending.answer(shown);
        }
        cache.end_query();
        Ok(())
    }
}
