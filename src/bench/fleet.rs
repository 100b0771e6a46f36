//! The subscribers of a run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connect::{Opened, Route, open_stream};
use super::cursor::Cursor;
use super::error::BenchError;
use super::reader::{Reader, Receipts};
use super::report::Connects;
use super::shared::Run;
use super::tracker::{Counts, Tracker};
use super::units::{index, per};

/// After the last event nobody waits longer than this for another.
const QUIET: Duration = Duration::from_secs(3);
/// Nor longer than this in all.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// All subscribers.
pub(super) struct Fleet {
    run: Rc<Run>,
    subscribers: Vec<Rc<Subscriber>>,
    tasks: JoinSet<()>,
    shared: Rc<Progress>,
}

struct Subscriber {
    number: u32,
    receipts: Receipts,
    state: Cell<State>,
    request: RefCell<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Live,
    /// The server ended the stream or never opened it.
    Lost,
}

/// How the connecting goes.
struct Progress {
    gate: Semaphore,
    connected: Cell<u32>,
    failed: Cell<u32>,
    first_failure: RefCell<Option<String>>,
    lost: Cell<u32>,
    changed: Notify,
}

impl Fleet {
    /// Subscribers that have not connected yet.
    pub(super) fn new(run: &Rc<Run>) -> Self {
        let args = &run.plan.args;
        let subscriber = |number| {
            Rc::new(Subscriber {
                number,
                receipts: Receipts {
                    tracker: RefCell::new(Tracker::new(run.plan.topic_of(number))),
                    cursor: RefCell::new(args.storm.map(|_| Cursor::default())),
                    timed: number >= args.stall,
                },
                state: Cell::new(State::Away),
                request: RefCell::default(),
            })
        };
        Self {
            subscribers: (0..args.subscribers).map(subscriber).collect(),
            shared: Rc::new(Progress::new(index(args.connecting))),
            tasks: JoinSet::new(),
            run: run.clone(),
        }
    }

    /// Prepares the requests, so that connecting is all that is measured afterwards.
    pub(super) fn prepare(&mut self) -> Result<(), BenchError> {
        for subscriber in &self.subscribers {
            let cursor = subscriber.receipts.cursor.take();
            let last = cursor.as_ref().and_then(Cursor::last);
            let request = self.run.plan.stream_request(subscriber.number, last)?;
            // The first cursor is the one to come back with; later ones are not asked for.
            subscriber
                .receipts
                .cursor
                .replace(cursor.filter(|c| c.last().is_none()));
            subscriber.request.replace(request);
        }
        Ok(())
    }

    /// Connects everyone and goes on reading in the background.
    pub(super) async fn connect(&mut self) -> Result<Connects, BenchError> {
        let started = Instant::now();
        for subscriber in &self.subscribers {
            let (subscriber, run) = (subscriber.clone(), self.run.clone());
            self.tasks
                .spawn_local(live(subscriber, run, self.shared.clone()));
        }
        let asked = self.run.plan.args.subscribers;
        while self.shared.connected.get() + self.shared.failed.get() < asked {
            self.shared.changed.notified().await;
        }
        self.shared.report(asked, started.elapsed())
    }

    /// Cuts all streams.
    pub(super) async fn disconnect(&mut self) {
        self.tasks.shutdown().await;
        self.subscribers
            .iter()
            .for_each(|s| s.state.set(State::Away));
        self.shared = Rc::new(Progress::new(index(self.run.plan.args.connecting)));
    }

    /// Returns when there is nobody left to load.
    pub(super) async fn all_lost(&self) {
        while self.subscribers.is_empty() || self.lost() < self.shared.connected.get() {
            self.shared.changed.notified().await;
        }
    }

    /// Waits until every live stream has every accepted event, as long as they still come.
    pub(super) async fn drain(&self) {
        let started = Instant::now();
        let mut heard = (self.run.received.get(), started);
        while !self.is_caught_up() && started.elapsed() < PATIENCE && heard.1.elapsed() < QUIET {
            sleep(LOOK_AGAIN).await;
            let received = self.run.received.get();
            if received != heard.0 {
                heard = (received, Instant::now());
            }
        }
    }

    fn is_caught_up(&self) -> bool {
        let ledger = self.run.ledger.borrow();
        let live = self
            .subscribers
            .iter()
            .filter(|s| s.state.get() == State::Live);
        live.map(|s| s.receipts.tracker.borrow().missing(&ledger))
            .all(|missing| missing == 0)
    }

    /// What all got, and how many accepted events they did not get.
    pub(super) fn counts(&self) -> (Counts, u64) {
        let ledger = self.run.ledger.borrow();
        let mut sum = (Counts::default(), 0);
        for subscriber in self.opened() {
            let tracker = subscriber.receipts.tracker.borrow();
            sum.0 += tracker.counts;
            sum.1 += tracker.missing(&ledger);
        }
        sum
    }

    /// When each stream got its last event, in order.
    pub(super) fn last_receipts(&self) -> Vec<u64> {
        let last = |s: &Rc<Subscriber>| s.receipts.tracker.borrow().last_ns;
        let mut all: Vec<u64> = self.opened().map(last).collect();
        all.sort_unstable();
        all
    }

    /// How many streams have no id to go on from, or no event at all.
    pub(super) fn unprimed(&self) -> usize {
        let primed = |s: &&Rc<Subscriber>| {
            let cursor = s.receipts.cursor.borrow();
            cursor.as_ref().is_some_and(|c| c.last().is_some())
                && s.receipts.tracker.borrow().counts.received > 0
        };
        self.subscribers.len() - self.subscribers.iter().filter(primed).count()
    }

    /// Streams that the server ended.
    pub(super) fn lost(&self) -> u32 {
        self.shared.lost.get()
    }

    fn opened(&self) -> impl Iterator<Item = &Rc<Subscriber>> {
        self.subscribers
            .iter()
            .filter(|s| s.state.get() != State::Away)
    }
}

impl Progress {
    fn new(connecting: usize) -> Self {
        Self {
            gate: Semaphore::new(connecting),
            connected: Cell::new(0),
            failed: Cell::new(0),
            first_failure: RefCell::new(None),
            lost: Cell::new(0),
            changed: Notify::new(),
        }
    }

    fn report(&self, asked: u32, took: Duration) -> Result<Connects, BenchError> {
        let connected = self.connected.get();
        let first_failure = self.first_failure.borrow().clone();
        if connected == 0 && asked > 0 {
            let cause = first_failure.unwrap_or_default();
            return Err(BenchError::NoStreams { asked, cause });
        }
        Ok(Connects {
            connected,
            failed: self.failed.get(),
            first_failure,
            seconds: took.as_secs_f64(),
            per_second: per(u64::from(connected), took.as_secs_f64()),
        })
    }

    fn add(&self, to: &Cell<u32>) {
        to.set(to.get() + 1);
        self.changed.notify_one();
    }
}

/// The life of one stream.
async fn live(subscriber: Rc<Subscriber>, run: Rc<Run>, progress: Rc<Progress>) {
    let Some(opened) = open(&subscriber, &run, &progress).await else {
        return;
    };
    subscriber.state.set(State::Live);
    progress.add(&progress.connected);
    if !subscriber.receipts.timed {
        // An error means that the run is gone, and with it this task.
        let _ = run.resumed.subscribe().wait_for(|resumed| *resumed).await;
    }
    Reader::read_to_end(opened, &subscriber.receipts, &run).await;
    subscriber.state.set(State::Lost);
    progress.add(&progress.lost);
}

async fn open(subscriber: &Subscriber, run: &Run, progress: &Progress) -> Option<Opened> {
    let _permit = progress.gate.acquire().await.ok()?;
    let route = Route {
        server: run.plan.server,
        source: run.plan.source_of(subscriber.number),
        stalled: !subscriber.receipts.timed,
    };
    let request = subscriber.request.take();
    match open_stream(route, &request).await {
        Ok(opened) => Some(opened),
        Err(error) => {
            progress
                .first_failure
                .borrow_mut()
                .get_or_insert(error.to_string());
            progress.add(&progress.failed);
            None
        }
    }
}
