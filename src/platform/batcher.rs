//! Serves requests that arrive together in one batch.
//!
//! Callers send requests over a bounded queue and wait for their answers. One task takes all waiting
//! requests as a batch, and answers each. Under load the batches are few and large. A single request
//! is served at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::exact_timer::ExactTimer;
use super::metrics::{BatcherFigures, Queues};

mod spacing;

use spacing::Spacing;

#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// The name of the queue in metrics.
    pub name: &'static str,
    /// The most requests that may wait; further ones are refused.
    pub queue: usize,
    pub batch: usize,
    /// The least time from the start of one batch to the start of the next.
    pub interval: Duration,
    /// Whether that also holds after a batch of one request. If not, a caller who sends one request
    /// after the other does not wait for others, who do not come.
    pub spaces_single_requests: bool,
    /// How long a caller waits for an answer.
    pub answer_timeout: Duration,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The queue is full, or the task has stopped: the request will not be served.
    #[error("too many requests wait")]
    Busy,
    /// The request was taken. It may have been served or not.
    #[error("the request was not answered in time")]
    Unanswered,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Pending<Request, Answer> {
    pub request: Request,
    answer: oneshot::Sender<Answer>,
    /// When it was queued, as the figures of the queue count time.
    since_us: u64,
}

impl<Request, Answer> Pending<Request, Answer> {
    /// Sends the answer. It does not matter whether the caller still waits.
    pub fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }

    /// Whether the caller does not wait any more.
    pub fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    /// The request, and the channel for its answer.
    pub fn into_parts(self) -> (Request, oneshot::Sender<Answer>) {
        (self.request, self.answer)
    }
}

/// The end for callers. Cheap to clone.
#[derive(Debug)]
pub struct Batcher<Request, Answer> {
    queue: mpsc::Sender<Pending<Request, Answer>>,
    answer_timeout: Duration,
    figures: Arc<BatcherFigures>,
}

impl<Request, Answer> Clone for Batcher<Request, Answer> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            answer_timeout: self.answer_timeout,
            figures: Arc::clone(&self.figures),
        }
    }
}

impl<Request, Answer> Batcher<Request, Answer> {
    /// Makes both ends. After `stop`, the task serves the queued requests and takes no more.
    #[must_use]
    pub fn new(
        limits: BatchLimits,
        queues: &Queues,
        stop: CancellationToken,
    ) -> (Self, Batches<Request, Answer>) {
        let (queue, requests) = mpsc::channel(limits.queue);
        let figures = queues.batcher(limits.name, limits.queue);
        let batches = Batches {
            requests,
            most: limits.batch,
            spacing: Spacing::new(limits, Instant::now()),
            timer: ExactTimer::default(),
            figures: Arc::clone(&figures),
            stop,
        };
        let callers = Self {
            queue,
            answer_timeout: limits.answer_timeout,
            figures,
        };
        (callers, batches)
    }

    /// Whether a batch is being served, or a request waits.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.figures.is_busy()
    }

    /// Sends a request. The channel has the answer; it closes without one if there is none.
    pub fn send(&self, request: Request) -> Result<oneshot::Receiver<Answer>, BatchError> {
        let Ok(place) = self.queue.try_reserve() else {
            self.figures.refuse();
            return Err(BatchError::Busy);
        };
        Ok(self.put(place, request))
    }

    /// Like [`Self::send`], but waits while the queue is full. Fails when the task has ended.
    pub async fn send_when_room(
        &self,
        request: Request,
    ) -> Result<oneshot::Receiver<Answer>, BatchError> {
        match self.queue.reserve().await {
            Ok(place) => Ok(self.put(place, request)),
            Err(_) => Err(BatchError::Busy),
        }
    }

    fn put(
        &self,
        place: mpsc::Permit<'_, Pending<Request, Answer>>,
        request: Request,
    ) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        // Before the request can be taken.
        let since_us = self.figures.enter();
        place.send(Pending {
            request,
            answer,
            since_us,
        });
        answered
    }

    /// Sends a request and waits for its answer.
    pub async fn ask(&self, request: Request) -> Result<Answer, BatchError> {
        let answered = self.send(request)?;
        let answer = timeout(self.answer_timeout, answered).await;
        let Ok(Ok(answer)) = answer else {
            self.figures.give_up();
            return Err(BatchError::Unanswered);
        };
        Ok(answer)
    }
}

#[derive(Debug)]
pub struct Batches<Request, Answer> {
    requests: mpsc::Receiver<Pending<Request, Answer>>,
    /// Requests of one batch.
    most: usize,
    spacing: Spacing,
    timer: ExactTimer,
    figures: Arc<BatcherFigures>,
    stop: CancellationToken,
}

impl<Request, Answer> Batches<Request, Answer> {
    /// The least time from the start of one batch to the start of the next, from now on. If it is longer than that
    /// of the limits, it also holds after a batch of one request, as long as requests come together now and then.
    pub fn set_interval(&mut self, interval: Duration) {
        self.spacing.set_interval(interval);
    }

    /// The next batch, or none after the stop. Cancelling this future loses no request.
    pub async fn next(&mut self) -> Option<Vec<Pending<Request, Answer>>> {
        self.figures.rest();
        let has_waited = !self.requests.is_empty();
        // Nobody is woken for what comes meanwhile.
        if Instant::now() < self.spacing.next_at && !self.requests.is_closed() {
            tokio::select! {
                () = self.timer.sleep_until(self.spacing.next_at) => {}
                () = self.stop.cancelled() => self.requests.close(),
            }
        }
        let mut batch = Vec::new();
        while batch.is_empty() {
            tokio::select! {
                biased;
                n = self.requests.recv_many(&mut batch, self.most) => {
                    if n == 0 { return None }
                }
                () = self.stop.cancelled(), if !self.requests.is_closed() => self.requests.close(),
            }
        }
        self.spacing.start(batch.len(), has_waited, Instant::now());
        let last_us = batch.last().map_or(0, |last| last.since_us);
        self.figures.take(batch.len(), last_us);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    const LIMITS: BatchLimits = BatchLimits {
        name: "test",
        queue: 4,
        batch: 3,
        interval: Duration::from_millis(10),
        spaces_single_requests: true,
        answer_timeout: Duration::from_mins(1),
    };

    /// Answers each request with the size of its batch.
    async fn serve(mut batches: Batches<u32, usize>) -> usize {
        let mut served = 0;
        while let Some(batch) = batches.next().await {
            let size = batch.len();
            served += size;
            for pending in batch {
                pending.answer(size);
            }
        }
        served
    }

    fn batcher(limits: BatchLimits) -> (Batcher<u32, usize>, Batches<u32, usize>) {
        Batcher::new(limits, &Queues::default(), CancellationToken::new())
    }

    #[tokio::test]
    async fn requests_that_wait_together_are_one_batch_up_to_its_limit() {
        let (asking, batches) = batcher(LIMITS);
        let waiting: Vec<_> = (0..4).map(|n| asking.send(n).unwrap()).collect();
        tokio::spawn(serve(batches));
        let sizes = join_all(waiting).await;
        assert_eq!(sizes, [Ok(3), Ok(3), Ok(3), Ok(1)]);
    }

    #[tokio::test]
    async fn a_lone_request_does_not_wait_and_the_next_batch_keeps_the_interval() {
        let interval = Duration::from_hours(1);
        let (asking, mut batches) = batcher(BatchLimits { interval, ..LIMITS });
        let _first = asking.send(1).unwrap();
        assert_eq!(batches.next().await.map(|batch| batch.len()), Some(1));
        let _second = asking.send(2).unwrap();
        assert!(batches.spacing.next_at > Instant::now() + interval / 2);
        let soon = timeout(Duration::from_millis(5), batches.next());
        assert!(soon.await.is_err());
    }

    #[tokio::test]
    async fn a_stop_ends_the_interval() {
        let (interval, stop) = (Duration::from_hours(1), CancellationToken::new());
        let limits = BatchLimits { interval, ..LIMITS };
        let (asking, mut batches) =
            Batcher::<u32, usize>::new(limits, &Queues::default(), stop.clone());
        let _first = asking.send(1).unwrap();
        assert_eq!(batches.next().await.map(|batch| batch.len()), Some(1));
        let _second = asking.send(2).unwrap();
        stop.cancel();
        assert_eq!(batches.next().await.map(|batch| batch.len()), Some(1));
        assert!(batches.next().await.is_none());
    }

    #[tokio::test]
    async fn single_requests_need_no_interval_where_the_limits_say_so() {
        let interval = Duration::from_hours(1);
        let (asking, mut batches) = batcher(BatchLimits {
            interval,
            spaces_single_requests: false,
            ..LIMITS
        });
        for n in [1, 1, 2] {
            let _waiting: Vec<_> = (0..n).map(|_| asking.send(1).unwrap()).collect();
            assert_eq!(batches.next().await.map(|batch| batch.len()), Some(n));
        }
        // Others come together with it.
        let _next = asking.send(1).unwrap();
        let soon = timeout(Duration::from_millis(5), batches.next());
        assert!(soon.await.is_err());
    }

    #[tokio::test]
    async fn a_longer_interval_holds_for_single_requests_that_come_while_others_are_served() {
        let (asking, mut batches) = batcher(BatchLimits {
            spaces_single_requests: false,
            ..LIMITS
        });
        batches.set_interval(Duration::from_hours(1));
        let mut first = Box::pin(batches.next());
        assert!(first.as_mut().now_or_never().is_none());
        let _first = asking.send(1).unwrap();
        assert_eq!(first.await.map(|batch| batch.len()), Some(1));
        // It comes before the first is answered, so it has company.
        let _second = asking.send(2).unwrap();
        assert_eq!(batches.next().await.map(|batch| batch.len()), Some(1));
        let _third = asking.send(3).unwrap();
        let soon = timeout(Duration::from_millis(5), batches.next());
        assert!(soon.await.is_err());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_silence_has_a_limit() {
        let answer_timeout = Duration::from_millis(5);
        let (asking, batches) = batcher(BatchLimits {
            answer_timeout,
            ..LIMITS
        });
        for _ in 0..LIMITS.queue {
            assert_eq!(asking.ask(1).await, Err(BatchError::Unanswered));
        }
        assert_eq!(asking.ask(2).await, Err(BatchError::Busy));
        drop(batches);
        assert_eq!(asking.ask(3).await, Err(BatchError::Busy));
    }

    #[tokio::test]
    async fn a_request_that_waits_for_room_is_served_when_there_is_some() {
        let (asking, batches) = batcher(LIMITS);
        let queued: Vec<_> = (0..LIMITS.queue).map(|_| asking.send(1).unwrap()).collect();
        let mut late = std::pin::pin!(asking.send_when_room(2));
        let soon = timeout(Duration::from_millis(5), late.as_mut());
        assert!(soon.await.is_err());
        let serving = tokio::spawn(serve(batches));
        assert!(late.await.unwrap().await.is_ok());
        assert!(
            join_all(queued)
                .await
                .into_iter()
                .all(|answer| answer.is_ok())
        );
        serving.abort();
        let _ = serving.await;
        let refused = asking.send_when_room(3).await;
        assert_eq!(refused.unwrap_err(), BatchError::Busy);
    }

    #[tokio::test]
    async fn what_is_in_the_queue_is_served_after_the_stop_and_no_more() {
        let stop = CancellationToken::new();
        let (asking, batches) = Batcher::new(LIMITS, &Queues::default(), stop.clone());
        let waiting: Vec<_> = (0..4).map(|n| asking.send(n).unwrap()).collect();
        stop.cancel();
        assert_eq!(serve(batches).await, 4);
        let answers = join_all(waiting).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        assert_eq!(asking.ask(5).await, Err(BatchError::Busy));
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_no_request() {
        let interval = Duration::from_millis(50);
        let (asking, mut batches) = batcher(BatchLimits { interval, ..LIMITS });
        let _first = asking.send(1).unwrap();
        batches.next().await.unwrap();
        let _second = asking.send(2).unwrap();
        let soon = timeout(Duration::from_millis(1), batches.next());
        assert!(soon.await.is_err());
        let batch = batches.next().await.unwrap();
        assert_eq!(batch[0].request, 2);
    }
}
