//! A fair share of the connections for each brokerage. Requests take turns by brokerage, and those of a
//! brokerage by user, so that one of them, however many requests it sends, does not keep others waiting.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pool::ACQUIRE_TIMEOUT;
use crate::platform::{BrokerId, UserId};

tokio::task_local! {
    /// Who sent the current request, once it is known.
    static SENDER: OnceCell<RequestSender>;
}

#[derive(Clone, Debug)]
struct RequestSender {
    broker: BrokerId,
    user: UserId,
}

/// Runs a request. The connections that it takes are counted for its brokerage.
pub async fn counted<T>(request: impl Future<Output = T>) -> T {
    SENDER.scope(OnceCell::new(), request).await
}

/// The current request is one of this user's.
pub fn count_for(broker: &BrokerId, user: &UserId) {
    let sender = || RequestSender {
        broker: broker.clone(),
        user: user.clone(),
    };
    let _ = SENDER.try_with(|current| current.set(sender()));
}

fn current_sender() -> Option<RequestSender> {
    SENDER.try_with(|sender| sender.get().cloned()).ok()?
}

/// The connections of a pool, divided between brokerages.
#[derive(Debug)]
pub struct Turns {
    /// Connections that one brokerage may use at a time.
    most_each: u32,
    state: Mutex<TurnState>,
}

#[derive(Debug)]
struct TurnState {
    free: u32,
    brokerages: FxHashMap<BrokerId, BrokerageTurns>,
    /// Brokerages with waiting requests. The first is served next.
    order: VecDeque<BrokerId>,
}

#[derive(Debug, Default)]
struct BrokerageTurns {
    in_use: u32,
    waiting: FxHashMap<UserId, VecDeque<WaitingRequest>>,
    /// Users with waiting requests. The first is served next.
    order: VecDeque<UserId>,
}

#[derive(Debug)]
struct WaitingRequest {
    grant: oneshot::Sender<()>,
    since: Instant,
}

/// The right to use one connection. Dropping it lets the next request in.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    broker: BrokerId,
}

impl Turns {
    /// `most_each` of `connections` are for one brokerage at most.
    #[must_use]
    pub fn new(connections: u32, most_each: u32) -> Arc<Self> {
        Arc::new(Self {
            most_each: most_each.clamp(1, connections),
            state: Mutex::new(TurnState {
                free: connections,
                brokerages: FxHashMap::default(),
                order: VecDeque::new(),
            }),
        })
    }

    pub(super) fn most_each(&self) -> u32 {
        self.most_each
    }

    /// Waits for a turn. Work that is not a request of a brokerage needs none.
    pub async fn take(self: &Arc<Self>) -> sqlx::Result<Option<Turn>> {
        match current_sender() {
            None => Ok(None),
            Some(sender) => self.take_for(sender).await.map(Some),
        }
    }

    async fn take_for(self: &Arc<Self>, sender: RequestSender) -> sqlx::Result<Turn> {
        let waiting = self.enter(&sender);
        let broker = sender.broker;
        if let Some(granted) = waiting {
            // A request that gives up returns the turn that it may have got.
            let mut place = QueuePlace {
                turns: self,
                broker: &broker,
                granted,
            };
            let outcome = tokio::time::timeout(ACQUIRE_TIMEOUT, &mut place.granted).await;
            outcome
                .ok()
                .and_then(Result::ok)
                .ok_or(sqlx::Error::PoolTimedOut)?;
        }
        Ok(Turn {
            turns: Arc::clone(self),
            broker,
        })
    }

    /// Takes a turn at once, or waits in the queue of this user.
    fn enter(&self, sender: &RequestSender) -> Option<oneshot::Receiver<()>> {
        let broker = &sender.broker;
        let mut state = self.state();
        let TurnState {
            free,
            brokerages,
            order,
        } = &mut *state;
        let own = brokerages.entry(broker.clone()).or_default();
        if *free > 0 && own.in_use < self.most_each && own.waiting.is_empty() {
            *free -= 1;
            own.in_use += 1;
            return None;
        }
        let (grant, granted) = oneshot::channel();
        if own.waiting.is_empty() {
            order.push_back(broker.clone());
        }
        let since = Instant::now();
        own.push(&sender.user, WaitingRequest { grant, since });
        // The requests before this one may all have given up.
        state.serve(self.most_each);
        Some(granted)
    }

    fn give_back(&self, broker: &BrokerId) {
        let mut state = self.state();
        state.free += 1;
        if let Some(own) = state.brokerages.get_mut(broker) {
            own.in_use -= 1;
        }
        state.serve(self.most_each);
        state.forget_if_idle(broker);
    }

    /// Requests that wait for a connection.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state();
        state.waiting().count()
    }

    /// How long the oldest of them has waited.
    #[must_use]
    pub fn oldest_wait(&self, now: Instant) -> Duration {
        let state = self.state();
        // Those that have given up are removed when it is their turn.
        let waiting = state.waiting().filter(|request| !request.grant.is_closed());
        let oldest = waiting.map(|request| request.since).min();
        oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn state(&self) -> MutexGuard<'_, TurnState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TurnState {
    fn waiting(&self) -> impl Iterator<Item = &WaitingRequest> {
        let queues = self
            .brokerages
            .values()
            .flat_map(|own| own.waiting.values());
        queues.flatten()
    }

    /// Gives free connections to waiting requests, one brokerage after the other.
    fn serve(&mut self, most_each: u32) {
        // Each brokerage is looked at once: those at their limit keep their place.
        for _ in 0..self.order.len() {
            if self.free == 0 {
                return;
            }
            let Some(broker) = self.order.pop_front() else {
                return;
            };
            let Some(own) = self.brokerages.get_mut(&broker) else {
                continue;
            };
            if own.in_use < most_each && own.grant_next() {
                own.in_use += 1;
                self.free -= 1;
            }
            if own.waiting.is_empty() {
                self.forget_if_idle(&broker);
            } else {
                self.order.push_back(broker);
            }
        }
    }

    fn forget_if_idle(&mut self, broker: &BrokerId) {
        let own = self.brokerages.get(broker);
        if own.is_some_and(|own| own.in_use == 0 && own.waiting.is_empty()) {
            self.brokerages.remove(broker);
        }
    }
}

impl BrokerageTurns {
    fn push(&mut self, user: &UserId, request: WaitingRequest) {
        let queue = self.waiting.entry(user.clone()).or_default();
        if queue.is_empty() {
            self.order.push_back(user.clone());
        }
        queue.push_back(request);
    }

    /// Serves the next user. Returns whether a request was still waiting.
    fn grant_next(&mut self) -> bool {
        while let Some(user) = self.order.pop_front() {
            let Some(queue) = self.waiting.get_mut(&user) else {
                continue;
            };
            let is_granted = grant_first(queue);
            if queue.is_empty() {
                self.waiting.remove(&user);
            } else {
                self.order.push_back(user);
            }
            if is_granted {
                return true;
            }
        }
        false
    }
}

fn grant_first(queue: &mut VecDeque<WaitingRequest>) -> bool {
    while let Some(next) = queue.pop_front() {
        if next.grant.send(()).is_ok() {
            return true;
        }
    }
    false
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(&self.broker);
    }
}

/// A place in the queue.
struct QueuePlace<'a> {
    turns: &'a Arc<Turns>,
    broker: &'a BrokerId,
    granted: oneshot::Receiver<()>,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.granted.close();
        // Granted while the request gave up.
        if self.granted.try_recv().is_ok() {
            self.turns.give_back(self.broker);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A user of a brokerage: `b/ann`, or only `b`.
    fn sender(name: &str) -> RequestSender {
        let (broker, user) = name.split_once('/').unwrap_or((name, "u"));
        RequestSender {
            broker: broker.parse().unwrap(),
            user: user.parse().unwrap(),
        }
    }

    /// A turn that is free at once.
    fn take(turns: &Arc<Turns>, name: &str) -> Turn {
        let turn = turns.take_for(sender(name)).now_or_never();
        turn.expect("a free turn").unwrap()
    }

    #[tokio::test]
    async fn a_brokerage_gets_no_more_than_its_share() {
        let turns = Turns::new(4, 2);
        let _held = [take(&turns, "a"), take(&turns, "a")];
        let mut third = Box::pin(turns.take_for(sender("a")));
        assert!(third.as_mut().now_or_never().is_none());
        let later = Instant::now() + Duration::from_secs(9);
        assert!(turns.oldest_wait(later).as_secs() >= 8);
        drop(third);
        assert_eq!(turns.oldest_wait(later), Duration::ZERO);
        let _other = [take(&turns, "b"), take(&turns, "b")];
        assert!(turns.take_for(sender("c")).now_or_never().is_none());
    }

    /// The order in which requests are served that all wait for one connection.
    async fn served<const N: usize>(names: [&'static str; N]) -> Vec<&'static str> {
        let turns = Turns::new(1, 1);
        let held = take(&turns, "z");
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        for name in names {
            let (turns, done) = (Arc::clone(&turns), done.clone());
            tokio::spawn(async move {
                let turn = turns.take_for(sender(name)).await.unwrap();
                done.send(name).unwrap();
                drop(turn);
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut served = Vec::new();
        for _ in names {
            served.push(order.recv().await.unwrap());
        }
        assert!(turns.state().brokerages.is_empty());
        served
    }

    #[tokio::test]
    async fn waiting_brokerages_take_turns() {
        let order = served(["a", "a", "a", "b", "c"]).await;
        assert_eq!(order, ["a", "b", "c", "a", "a"]);
    }

    #[tokio::test]
    async fn waiting_users_of_a_brokerage_take_turns() {
        let order = served(["a/x", "a/x", "a/x", "a/y", "b/x", "a/z"]).await;
        assert_eq!(order, ["a/x", "b/x", "a/y", "a/z", "a/x", "a/x"]);
    }

    #[tokio::test]
    async fn a_request_that_gives_up_loses_no_turn() {
        let turns = Turns::new(1, 1);
        let held = take(&turns, "a");
        let mut gone = Box::pin(turns.take_for(sender("b")));
        assert!(gone.as_mut().now_or_never().is_none());
        // Its turn is granted, and it is dropped before it is polled again.
        drop(held);
        drop(gone);
        drop(take(&turns, "c"));
        assert_eq!(turns.state().free, 1);
        assert!(turns.state().brokerages.is_empty());
    }

    #[tokio::test]
    async fn only_requests_of_a_brokerage_need_a_turn() {
        let turns = Turns::new(1, 1);
        assert!(turns.take().await.unwrap().is_none());
        let request = async {
            assert!(turns.take().await.unwrap().is_none());
            let RequestSender { broker, user } = sender("a");
            count_for(&broker, &user);
            turns.take().await.unwrap().is_some()
        };
        assert!(counted(request).await);
    }
}
