//! The queues of an instance: how many requests wait, for how long, how busy the task behind a queue is, and what was refused.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::writer::{Counters, Gauges, MetricSource, MetricWriter, number};
use crate::platform::figures::Count;

/// All queues of an instance. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Queues(Arc<Mutex<Vec<Queue>>>);

#[derive(Clone, Debug)]
enum Queue {
    Batcher(Arc<BatcherFigures>),
    Channel(Arc<ChannelFigures>),
}

impl Queues {
    /// Begins to count for a batcher.
    #[must_use]
    pub(in crate::platform) fn batcher(
        &self,
        name: &'static str,
        limit: usize,
    ) -> Arc<BatcherFigures> {
        let figures = Arc::new(BatcherFigures::new(name, limit));
        self.all().push(Queue::Batcher(Arc::clone(&figures)));
        figures
    }

    /// A channel whose senders never wait. One of the same name before it was its predecessor.
    #[must_use]
    pub fn channel<T: Send + 'static>(
        &self,
        name: &'static str,
        limit: usize,
    ) -> (ChannelSender<T>, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(limit);
        // The channel still closes when its last sender is dropped.
        let weak = sender.downgrade();
        let waiting = move || {
            let sender = weak.upgrade();
            sender.map_or(0, |sender| sender.max_capacity() - sender.capacity())
        };
        let mut all = self.all();
        let predecessor = all.extract_if(.., |queue| queue.name() == name).last();
        let refused = match predecessor {
            Some(Queue::Channel(figures)) => Arc::clone(&figures.refused),
            _ => Arc::default(),
        };
        all.push(Queue::Channel(Arc::new(ChannelFigures {
            name,
            limit,
            waiting: Box::new(waiting),
            refused: Arc::clone(&refused),
        })));
        (ChannelSender { sender, refused }, receiver)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends without waiting, and counts what did not fit.
#[derive(Debug)]
pub struct ChannelSender<T> {
    sender: mpsc::Sender<T>,
    refused: Arc<Count>,
}

impl<T> Clone for ChannelSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            refused: Arc::clone(&self.refused),
        }
    }
}

impl<T> ChannelSender<T> {
    /// Fails with the message when the channel is full or closed.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let sent = self.sender.try_send(message);
        if sent.is_err() {
            self.refused.add(1);
        }
        sent
    }
}

struct ChannelFigures {
    name: &'static str,
    limit: usize,
    waiting: Box<dyn Fn() -> usize + Send + Sync>,
    refused: Arc<Count>,
}

impl fmt::Debug for ChannelFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelFigures")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a batcher counts. A request costs a few additions and two looks at the clock.
#[derive(Debug)]
pub(in crate::platform) struct BatcherFigures {
    name: &'static str,
    limit: usize,
    created_at: Instant,
    entered: Count,
    taken: Count,
    refused: Count,
    unanswered: Count,
    /// When the oldest waiting request came. 0: none is known.
    oldest_us: AtomicU64,
    /// How long batches were being served.
    busy_us: Count,
    /// Since when the current batch is. 0: there is none.
    busy_since_us: AtomicU64,
}

impl BatcherFigures {
    fn new(name: &'static str, limit: usize) -> Self {
        Self {
            name,
            limit,
            created_at: Instant::now(),
            entered: Count::default(),
            taken: Count::default(),
            refused: Count::default(),
            unanswered: Count::default(),
            oldest_us: AtomicU64::new(0),
            busy_us: Count::default(),
            busy_since_us: AtomicU64::new(0),
        }
    }

    /// A request is about to be queued. Returns when.
    pub(in crate::platform) fn enter(&self) -> u64 {
        let now = self.now_us();
        self.enter_at(now);
        now
    }

    fn enter_at(&self, now_us: u64) {
        self.entered.add(1);
        self.note_oldest(now_us);
    }

    pub(in crate::platform) fn refuse(&self) {
        self.refused.add(1);
    }

    pub(in crate::platform) fn give_up(&self) {
        self.unanswered.add(1);
    }

    /// A batch is served from now on. Its last request came at `last_us`.
    pub(in crate::platform) fn take(&self, requests: usize, last_us: u64) {
        self.take_at(self.now_us(), requests as u64, last_us);
    }

    fn take_at(&self, now_us: u64, requests: u64, last_us: u64) {
        self.busy_since_us.store(now_us, Ordering::Relaxed);
        // In this order: a request that comes meanwhile is either seen here, or notes its own time.
        self.oldest_us.store(0, Ordering::SeqCst);
        self.taken.add(requests);
        if self.waiting() > 0 {
            // Those that still wait came later.
            self.note_oldest(last_us);
        }
    }

    /// The batch has been served.
    pub(in crate::platform) fn rest(&self) {
        self.rest_at(self.now_us());
    }

    fn rest_at(&self, now_us: u64) {
        self.busy_us.add(self.serving_us(now_us));
        self.busy_since_us.store(0, Ordering::Relaxed);
    }

    fn waiting(&self) -> u64 {
        self.entered.get().saturating_sub(self.taken.get())
    }

    fn oldest_us(&self, now_us: u64) -> u64 {
        match self.oldest_us.load(Ordering::SeqCst) {
            0 => 0,
            _ if self.waiting() == 0 => 0,
            since => now_us.saturating_sub(since),
        }
    }

    fn busy_us(&self, now_us: u64) -> u64 {
        self.busy_us.get() + self.serving_us(now_us)
    }

    fn serving_us(&self, now_us: u64) -> u64 {
        match self.busy_since_us.load(Ordering::Relaxed) {
            0 => 0,
            since => now_us.saturating_sub(since),
        }
    }

    fn note_oldest(&self, us: u64) {
        let oldest = &self.oldest_us;
        let _ = oldest.compare_exchange(0, us, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Never 0.
    fn now_us(&self) -> u64 {
        let us = self.created_at.elapsed().as_micros();
        u64::try_from(us).unwrap_or(u64::MAX).max(1)
    }
}

impl Queue {
    fn name(&self) -> &'static str {
        match self {
            Self::Batcher(figures) => figures.name,
            Self::Channel(figures) => figures.name,
        }
    }

    fn limit(&self) -> usize {
        match self {
            Self::Batcher(figures) => figures.limit,
            Self::Channel(figures) => figures.limit,
        }
    }

    fn waiting(&self) -> u64 {
        match self {
            Self::Batcher(figures) => figures.waiting(),
            Self::Channel(figures) => (figures.waiting)() as u64,
        }
    }

    fn refused(&self) -> u64 {
        match self {
            Self::Batcher(figures) => figures.refused.get(),
            Self::Channel(figures) => figures.refused.get(),
        }
    }

    fn batcher(&self) -> Option<&BatcherFigures> {
        match self {
            Self::Batcher(figures) => Some(figures),
            Self::Channel(_) => None,
        }
    }
}

impl MetricSource for Queues {
    fn write(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let all = self.all().clone();
        let help = "Requests that a queue holds at most";
        let limit = |queue: &Queue| Some(number(queue.limit() as u64));
        add_gauges(to.gauges("queue_limit", help)?, &all, limit)?;
        let help = "Requests that wait in a queue";
        let waiting = |queue: &Queue| Some(number(queue.waiting()));
        add_gauges(to.gauges("queue_waiting", help)?, &all, waiting)?;
        let help = "Seconds that the oldest request in a queue has waited";
        let oldest = |queue: &Queue| {
            let batcher = queue.batcher()?;
            Some(seconds(batcher.oldest_us(batcher.now_us())))
        };
        add_gauges(to.gauges("queue_oldest_seconds", help)?, &all, oldest)?;
        let help = "Seconds in which the task behind a queue was serving requests";
        let mut busy = to.counters("queue_busy_seconds", help)?;
        for queue in &all {
            if let Some(batcher) = queue.batcher() {
                let busy_us = batcher.busy_us(batcher.now_us());
                busy.add_seconds(&[("queue", queue.name())], seconds(busy_us))?;
            }
        }
        let help = "Requests that were taken from a queue";
        let taken = |queue: &Queue| Some(queue.batcher()?.taken.get());
        add_counters(to.counters("queue_requests", help)?, &all, taken)?;
        let help = "Requests that did not fit into a queue";
        let refused = |queue: &Queue| Some(queue.refused());
        add_counters(to.counters("queue_refused", help)?, &all, refused)?;
        let help = "Requests whose senders stopped waiting for an answer";
        let unanswered = |queue: &Queue| Some(queue.batcher()?.unanswered.get());
        add_counters(to.counters("queue_unanswered", help)?, &all, unanswered)
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

fn add_gauges(
    mut family: Gauges<'_>,
    queues: &[Queue],
    value: impl Fn(&Queue) -> Option<f64>,
) -> fmt::Result {
    for queue in queues {
        if let Some(value) = value(queue) {
            family.add(&[("queue", queue.name())], value)?;
        }
    }
    Ok(())
}

fn add_counters(
    mut family: Counters<'_>,
    queues: &[Queue],
    value: impl Fn(&Queue) -> Option<u64>,
) -> fmt::Result {
    for queue in queues {
        if let Some(value) = value(queue) {
            family.add(&[("queue", queue.name())], value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_request_ages_until_it_is_taken() {
        let figures = BatcherFigures::new("q", 4);
        assert_eq!((figures.waiting(), figures.oldest_us(5)), (0, 0));
        for at in [10, 20, 30] {
            figures.enter_at(at);
        }
        assert_eq!((figures.waiting(), figures.oldest_us(30)), (3, 20));
        figures.take_at(30, 2, 20);
        // It is as old as the one before it at most.
        assert_eq!((figures.waiting(), figures.oldest_us(40)), (1, 20));
        assert_eq!(figures.busy_us(45), 15);
        figures.rest_at(50);
        assert_eq!(figures.busy_us(90), 20);
        figures.take_at(90, 1, 30);
        assert_eq!((figures.waiting(), figures.oldest_us(95)), (0, 0));
        assert_eq!(figures.busy_us(95), 25);
        // A refused one does not wait, and one that comes now is new.
        figures.refuse();
        figures.enter_at(99);
        assert_eq!((figures.waiting(), figures.oldest_us(100)), (1, 1));
    }

    #[tokio::test]
    async fn a_channel_counts_what_waits_and_closes_with_its_last_sender() {
        let queues = Queues::default();
        let (sender, mut receiver) = queues.channel("c", 2);
        let sent = (0..3).map(|n| sender.try_send(n).is_ok());
        assert_eq!(sent.collect::<Vec<_>>(), [true, true, false]);
        let of = |queues: &Queues| {
            let queue = queues.all()[0].clone();
            (queue.limit(), queue.waiting(), queue.refused())
        };
        assert_eq!(of(&queues), (2, 2, 1));
        drop(sender);
        let mut count = 0;
        while receiver.recv().await.is_some() {
            count += 1;
        }
        assert_eq!((count, of(&queues).1), (2, 0));
        let (_successor, _) = queues.channel::<()>("c", 5);
        assert_eq!((of(&queues), queues.all().len()), ((5, 0, 1), 1));
    }
}
