//! The replay desk: what has left memory is read from the table, for many at once.
//!
//! Streams that miss events of the same log stand in one line. One query reads on from
//! the oldest cursor in it, for everyone whose cursor is on that page; the page then
//! stays on the shelf for those who come a moment later. So 5,000 clients that return
//! at once cost a few queries, and none holds more than a weak hand on a page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use crate::log::{Audience, Epoch};
use crate::log::{Head, read};
use crate::platform::BrokerId;
use crate::platform::Metrics;
use crate::platform::database::limited;
use crate::platform::{Limit, Pool};

/// Streams that may stand in line; one more is told to come back.
const LINE_REQUESTS: usize = 65_536;
/// Queries under way at once.
const QUERIES: usize = 4;
/// What all pages on the shelf may hold.
const SHELF_BYTES: usize = 16 << 20;
/// A page's share of memory beside its frames.
const PAGE_OVERHEAD_BYTES: usize = 1_024;

/// A stretch of a log for some audiences: all of their events in `(after, upto]`.
#[derive(Debug)]
pub struct Page {
    /// Where the log stood when this was read.
    pub head: Head,
    /// Everything after this is here…
    pub after: i64,
    pub upto: i64,
    pub frames: Vec<Arc<Frame>>,
    audiences: FxHashSet<Audience>,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The line is too long.
    #[error("too many streams wait for replay")]
    Busy,
    /// The database did not answer.
    #[error("the log could not be read")]
    Unavailable,
}

#[derive(Clone, Debug)]
pub struct Missing {
    pub broker: BrokerId,
    pub epoch: Epoch,
    pub audiences: Arc<[Audience]>,
    pub after: i64,
    /// Pages that were read when the log was shorter may name former owners.
    pub as_of: i64,
}

/// An answer from the desk.
pub type Replayed = Result<Arc<Page>, ReplayError>;

struct ReplayRequest {
    missing: Missing,
    answer: oneshot::Sender<Replayed>,
}

/// A handle to the desk's task.
#[derive(Clone)]
pub struct ReplayLoader {
    requests_in: mpsc::Sender<ReplayRequest>,
    cache: Arc<Mutex<ReplayCache>>,
}

impl ReplayLoader {
    /// The handle, and the task behind it.
    pub fn new(
        pool: Pool,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (requests_in, requests) = mpsc::channel(LINE_REQUESTS);
        let cache = Arc::<Mutex<ReplayCache>>::default();
        let clerk = ReplayTask {
            pool,
            metrics,
            cache: Arc::clone(&cache),
            waiting: FxHashMap::default(),
        };
        (Self { requests_in, cache }, clerk.run(requests, stop))
    }

    /// Asks for a page that begins at what is missing, or a little before.
    #[must_use]
    pub fn ask(&self, missing: Missing) -> oneshot::Receiver<Replayed> {
        let (answer, answered) = oneshot::channel();
        if let Some(page) = cache(&self.cache).find(&missing) {
            let _ = answer.send(Ok(page));
        } else if let Err(refused) = self.requests_in.try_send(ReplayRequest { missing, answer }) {
            let _ = refused.into_inner().answer.send(Err(ReplayError::Busy));
        }
        answered
    }
}

struct ReplayTask {
    pool: Pool,
    metrics: Arc<Metrics>,
    cache: Arc<Mutex<ReplayCache>>,
    /// Who waits, by log; a log with an entry is being read.
    waiting: FxHashMap<BrokerId, Vec<ReplayRequest>>,
}

impl ReplayTask {
    async fn run(
        mut self,
        mut requests_in: mpsc::Receiver<ReplayRequest>,
        stop: CancellationToken,
    ) {
        let mut reads = JoinSet::new();
        let mut queue = VecDeque::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(done) = reads.join_next() => match done {
                    Ok((broker, page)) => self.hand_out(broker, &page, &mut queue),
                    Err(_) => return,
                },
                request = requests_in.recv() => match request {
                    None => return,
                    Some(request) => self.stand_in_line(request, &mut queue),
                }
            }
            while reads.len() < QUERIES
                && let Some(broker) = queue.pop_front()
            {
                reads.spawn(self.read(broker));
            }
        }
    }

    fn stand_in_line(&mut self, request: ReplayRequest, queue: &mut VecDeque<BrokerId>) {
        if let Some(page) = cache(&self.cache).find(&request.missing) {
            let _ = request.answer.send(Ok(page));
            return;
        }
        let requests_in = self
            .waiting
            .entry(request.missing.broker.clone())
            .or_default();
        if requests_in.is_empty() {
            queue.push_back(request.missing.broker.clone());
        }
        requests_in.push(request);
    }

    /// Reads on from the oldest cursor in a log's line, for all who stand in it now.
    fn read(&self, broker: BrokerId) -> impl Future<Output = (BrokerId, Replayed)> + use<> {
        let requests_in = self.waiting.get(&broker).map_or(&[][..], Vec::as_slice);
        let after = requests_in
            .iter()
            .map(|r| r.missing.after)
            .min()
            .unwrap_or(0);
        let audiences: FxHashSet<_> = requests_in
            .iter()
            .flat_map(|r| r.missing.audiences.iter().cloned())
            .collect();
        let (pool, metrics) = (self.pool.clone(), Arc::clone(&self.metrics));
        async move {
            metrics.replay_queries.inc();
            let page = read_page(&pool, &broker, audiences, after).await;
            (broker, page)
        }
    }

    fn hand_out(&mut self, broker: BrokerId, page: &Replayed, queue: &mut VecDeque<BrokerId>) {
        if let Ok(page) = page {
            cache(&self.cache).put(broker.clone(), Arc::clone(page));
        }
        let requests_in = self.waiting.remove(&broker).unwrap_or_default();
        let mut left = Vec::new();
        for request in requests_in {
            match page {
                // Another log stands in its place now; the follower will notice too.
                Ok(page) if page.head.epoch != request.missing.epoch => {
                    drop(request.answer.send(Err(ReplayError::Unavailable)));
                }
                Ok(page) if !page.serves(&request.missing) => left.push(request),
                answer => drop(request.answer.send(answer.clone())),
            }
        }
        if !left.is_empty() {
            self.waiting.insert(broker.clone(), left);
            queue.push_back(broker);
        }
    }
}

async fn read_page(
    pool: &Pool,
    broker: &BrokerId,
    audiences: FxHashSet<Audience>,
    after: i64,
) -> Replayed {
    let unavailable = |error: sqlx::Error| {
        tracing::warn!(%error, %broker, "replay could not read the log");
        ReplayError::Unavailable
    };
    let eyes: Vec<_> = audiences.iter().cloned().collect();
    let page = limited(Limit::REQUEST, async {
        let mut connection = pool.acquire().await?;
        read::replay(&mut connection, broker, &eyes, after).await
    });
    let page = page.await.map_err(unavailable)?;
    let page = page.ok_or(ReplayError::Unavailable)?;
    let frames = page
        .events
        .iter()
        .map(|e| Arc::new(Frame::of(e, &page.head.epoch)))
        .collect();
    Ok(Arc::new(Page {
        head: page.head,
        after,
        upto: page.upto,
        frames,
        audiences,
    }))
}

impl Page {
    fn serves(&self, missing: &Missing) -> bool {
        let is_this_log = self.head.epoch == missing.epoch;
        let begins_here = self.after <= missing.after
            && (missing.after < self.upto || self.after == missing.after);
        let is_fresh = missing.as_of <= self.head.head;
        is_this_log
            && is_fresh
            && begins_here
            && missing.audiences.iter().all(|a| self.audiences.contains(a))
    }

    fn bytes(&self) -> usize {
        PAGE_OVERHEAD_BYTES + self.frames.iter().map(|frame| frame.size()).sum::<usize>()
    }
}

/// The last pages that were read. The log does not change, so they stay true, except for who
/// owns the records, which memory knows better.
#[derive(Debug, Default)]
struct ReplayCache {
    pages: FxHashMap<BrokerId, Vec<Arc<Page>>>,
    order: VecDeque<(BrokerId, Arc<Page>)>,
    bytes: usize,
}

impl ReplayCache {
    fn find(&self, missing: &Missing) -> Option<Arc<Page>> {
        let is_useful = |page: &&Arc<Page>| missing.after < page.upto && page.serves(missing);
        self.pages
            .get(&missing.broker)?
            .iter()
            .rev()
            .find(is_useful)
            .cloned()
    }

    fn put(&mut self, broker: BrokerId, page: Arc<Page>) {
        self.bytes += page.bytes();
        self.pages
            .entry(broker.clone())
            .or_default()
            .push(Arc::clone(&page));
        self.order.push_back((broker, page));
        while self.bytes > SHELF_BYTES
            && let Some((broker, oldest)) = self.order.pop_front()
        {
            self.bytes -= oldest.bytes();
            if let Some(pages) = self.pages.get_mut(&broker) {
                pages.retain(|page| !Arc::ptr_eq(page, &oldest));
                if pages.is_empty() {
                    self.pages.remove(&broker);
                }
            }
        }
    }
}

fn cache(cache: &Mutex<ReplayCache>) -> MutexGuard<'_, ReplayCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}
