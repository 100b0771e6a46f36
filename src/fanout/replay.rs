//! Reads events that are no longer in memory from the table, for many streams at once.
//!
//! One query serves all streams that miss events of the same log: it starts at the oldest of their
//! cursors and reads one page. If streams are left whose cursors are not on that page, the next one
//! starts at the cursor of the stream that has waited longest, so that none waits until all others have
//! caught up. The page is cached for streams that ask a moment later. So 5,000 clients that reconnect at
//! once cost a few queries. A stream holds only a weak reference to a page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use crate::log::{Audience, Epoch, Head, read};
use crate::platform::BackgroundTask;
use crate::platform::database::limited;
use crate::platform::{BatchLimits, Batcher, Batches, Pending};
use crate::platform::{BrokerId, Limit, Metrics, Pool};

const LIMITS: BatchLimits = BatchLimits {
    name: "replay",
    queue: 65_536,
    batch: 1_024,
    interval: Duration::ZERO,
    spaces_single_requests: true,
    // Streams poll for their answers, and `Limit::REQUEST` limits the queries.
    answer_timeout: Duration::MAX,
};
/// Queries that run at once.
const QUERIES: usize = 4;
/// The bytes of all cached pages.
const CACHE_BYTES: usize = 16 << 20;
/// The memory that a page uses besides its frames.
const PAGE_OVERHEAD_BYTES: usize = 1_024;

/// All events of some audiences in `(after, upto]`.
#[derive(Debug)]
pub struct ReplayPage {
    /// The log's head when the page was read.
    pub head: Head,
    pub after: i64,
    pub upto: i64,
    pub frames: Vec<Arc<Frame>>,
    audiences: FxHashSet<Audience>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("too many streams wait for replay")]
    Busy,
    #[error("the log could not be read")]
    Unavailable,
}

/// The events that a stream misses.
#[derive(Clone, Debug)]
pub struct MissingEvents {
    pub broker: BrokerId,
    pub epoch: Epoch,
    pub audiences: Arc<[Audience]>,
    pub after: i64,
    /// The log's head must have been at least here when the page was read. An older page may have
    /// former owners of records.
    pub as_of: i64,
}

pub type ReplayResult = Result<Arc<ReplayPage>, ReplayError>;
type ReplayRequest = Pending<MissingEvents, ReplayResult>;

/// A handle to the loader's task.
#[derive(Clone)]
pub struct ReplayLoader {
    requests: Batcher<MissingEvents, ReplayResult>,
    cache: Arc<Mutex<ReplayCache>>,
}

impl ReplayLoader {
    /// The handle, and the task behind it.
    #[must_use]
    pub fn start(
        pool: Pool,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> (Self, BackgroundTask) {
        let (requests, batches) = Batcher::new(LIMITS, &metrics.queues, stop);
        let cache = Arc::<Mutex<ReplayCache>>::default();
        let task = ReplayTask {
            pool,
            metrics,
            cache: Arc::clone(&cache),
            waiting: FxHashMap::default(),
            queue: VecDeque::new(),
        };
        let background = BackgroundTask::new("the replay loader", task.run(batches));
        (Self { requests, cache }, background)
    }

    /// Loads a page that starts at the missing events or a little before.
    #[must_use]
    pub fn load(&self, missing: MissingEvents) -> oneshot::Receiver<ReplayResult> {
        let cached = lock(&self.cache).find(&missing);
        let result = match cached {
            Some(page) => Ok(page),
            None => match self.requests.send(missing) {
                Ok(answer) => return answer,
                Err(_) => Err(ReplayError::Busy),
            },
        };
        let (answer, answered) = oneshot::channel();
        let _ = answer.send(result);
        answered
    }
}

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

struct ReplayTask {
    pool: Pool,
    metrics: Arc<Metrics>,
    cache: Arc<Mutex<ReplayCache>>,
    /// The requests for each log. A log with requests is in `queue`, or it is being read.
    waiting: FxHashMap<BrokerId, WaitingRequests>,
    /// The logs that wait for a query.
    queue: VecDeque<BrokerId>,
}

/// The requests for one log, in the order in which they came.
#[derive(Default)]
struct WaitingRequests {
    requests: Vec<ReplayRequest>,
    /// Whether the next page starts at the cursor of the request that has waited longest. Every second page
    /// does, while some are left: clients that missed much ask again and again, and would always be the oldest.
    is_turn_of_longest: bool,
}

impl WaitingRequests {
    /// Where the next page starts.
    fn start(&self) -> i64 {
        let cursors = || self.requests.iter().map(|pending| pending.request.after);
        let start = if self.is_turn_of_longest {
            cursors().next()
        } else {
            cursors().min()
        };
        start.unwrap_or(0)
    }

    fn audiences(&self) -> FxHashSet<Audience> {
        let missing = self.requests.iter().map(|pending| &pending.request);
        missing
            .flat_map(|missing| missing.audiences.iter().cloned())
            .collect()
    }
}

/// A page of one log, or why there is none.
struct LoadedPage {
    broker: BrokerId,
    result: ReplayResult,
}

impl ReplayTask {
    async fn run(mut self, mut batches: Batches<MissingEvents, ReplayResult>) {
        let mut reads = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(read) = reads.join_next() => match read {
                    Ok(page) => self.answer(page),
                    Err(_) => return,
                },
                batch = batches.next() => match batch {
                    None => return,
                    Some(batch) => batch.into_iter().for_each(|request| self.add(request)),
                }
            }
            while reads.len() < QUERIES
                && let Some(broker) = self.queue.pop_front()
            {
                reads.spawn(self.read(broker));
            }
            let running = &self.metrics.replay_queries_running;
            running.set(gauge(reads.len()));
            self.metrics
                .replay_logs_waiting
                .set(gauge(self.queue.len()));
        }
    }

    fn add(&mut self, request: ReplayRequest) {
        let cached = lock(&self.cache).find(&request.request);
        if let Some(page) = cached {
            return request.answer(Ok(page));
        }
        let broker = &request.request.broker;
        let waiting = self.waiting.entry(broker.clone()).or_default();
        if waiting.requests.is_empty() {
            self.queue.push_back(broker.clone());
        }
        waiting.requests.push(request);
    }

    /// Reads a page for all requests that wait for this log now.
    fn read(&self, broker: BrokerId) -> impl Future<Output = LoadedPage> + use<> {
        let waiting = self.waiting.get(&broker);
        let after = waiting.map_or(0, WaitingRequests::start);
        let audiences = waiting.map(WaitingRequests::audiences).unwrap_or_default();
        let (pool, metrics) = (self.pool.clone(), Arc::clone(&self.metrics));
        async move {
            metrics.replay_queries.inc();
            let result = read_page(&pool, &broker, audiences, after).await;
            LoadedPage { broker, result }
        }
    }

    fn answer(&mut self, LoadedPage { broker, result }: LoadedPage) {
        if let Ok(page) = &result {
            lock(&self.cache).put(broker.clone(), Arc::clone(page));
        }
        let waiting = self.waiting.remove(&broker).unwrap_or_default();
        let mut left = Vec::new();
        for request in waiting.requests {
            match &result {
                // The brokerage has another log now, which the follower will notice too.
                Ok(page) if page.head.epoch != request.request.epoch => {
                    request.answer(Err(ReplayError::Unavailable));
                }
                Ok(page) if !page.serves(&request.request) => left.push(request),
                result => request.answer((*result).clone()),
            }
        }
        if !left.is_empty() {
            let waiting = WaitingRequests {
                requests: left,
                is_turn_of_longest: !waiting.is_turn_of_longest,
            };
            self.waiting.insert(broker.clone(), waiting);
            self.queue.push_back(broker);
        }
    }
}

async fn read_page(
    pool: &Pool,
    broker: &BrokerId,
    audiences: FxHashSet<Audience>,
    after: i64,
) -> ReplayResult {
    let unavailable = |error: sqlx::Error| {
        tracing::warn!(%error, %broker, "replay could not read the log");
        ReplayError::Unavailable
    };
    let wanted: Vec<_> = audiences.iter().cloned().collect();
    let events = limited(Limit::REQUEST, async {
        let mut connection = pool.acquire().await?;
        read::replay(&mut connection, broker, &wanted, after).await
    });
    let events = events.await.map_err(unavailable)?;
    let events = events.ok_or(ReplayError::Unavailable)?;
    let frame = |event| Arc::new(Frame::of(event, &events.head.epoch));
    let frames = events.events.iter().map(frame).collect();
    Ok(Arc::new(ReplayPage {
        head: events.head,
        after,
        upto: events.upto,
        frames,
        audiences,
    }))
}

impl ReplayPage {
    fn serves(&self, missing: &MissingEvents) -> bool {
        let is_same_log = self.head.epoch == missing.epoch;
        let has_start = self.after <= missing.after
            && (missing.after < self.upto || self.after == missing.after);
        let is_fresh = missing.as_of <= self.head.position;
        let mut audiences = missing.audiences.iter();
        is_same_log && is_fresh && has_start && audiences.all(|a| self.audiences.contains(a))
    }

    fn bytes(&self) -> usize {
        PAGE_OVERHEAD_BYTES + self.frames.iter().map(|frame| frame.size()).sum::<usize>()
    }
}

/// The last pages. The log does not change, so pages stay valid, except for the owners of records:
/// the ring has the current ones.
#[derive(Debug, Default)]
struct ReplayCache {
    pages: FxHashMap<BrokerId, Vec<Arc<ReplayPage>>>,
    order: VecDeque<CachedPage>,
    bytes: usize,
}

#[derive(Debug)]
struct CachedPage {
    broker: BrokerId,
    page: Arc<ReplayPage>,
}

impl ReplayCache {
    fn find(&self, missing: &MissingEvents) -> Option<Arc<ReplayPage>> {
        let is_useful = |page: &&Arc<ReplayPage>| missing.after < page.upto && page.serves(missing);
        let pages = self.pages.get(&missing.broker)?;
        pages.iter().rev().find(is_useful).cloned()
    }

    fn put(&mut self, broker: BrokerId, page: Arc<ReplayPage>) {
        self.bytes += page.bytes();
        let pages = self.pages.entry(broker.clone()).or_default();
        pages.push(Arc::clone(&page));
        self.order.push_back(CachedPage { broker, page });
        while self.bytes > CACHE_BYTES
            && let Some(CachedPage { broker, page }) = self.order.pop_front()
        {
            self.bytes -= page.bytes();
            if let Some(pages) = self.pages.get_mut(&broker) {
                pages.retain(|other| !Arc::ptr_eq(other, &page));
                if pages.is_empty() {
                    self.pages.remove(&broker);
                }
            }
        }
    }
}

fn lock(cache: &Mutex<ReplayCache>) -> MutexGuard<'_, ReplayCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}
