//! The queues of an instance: how many requests wait, for how long, how busy the task behind a queue is, and what was refused.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::writer::{Counters, Gauges, MetricSource, MetricWriter, number};
use crate::platform::figures::Count;

mod batcher;

pub(in crate::platform) use batcher::BatcherFigures;

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
