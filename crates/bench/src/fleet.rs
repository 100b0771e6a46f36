//! The subscribers of a run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::connect::{Opened, Route, open_stream};
use crate::cursor::Cursor;
use crate::error::BenchError;
use crate::gauge::{Gauge, Span};
use crate::reader::{Reader, Receipts};
use crate::report::Connects;
use crate::shared::{Run, Stage};
use crate::tracker::{Counts, Tracker};
use crate::units::{index, per};

/// The longest wait for another event after the last one.
const QUIET: Duration = Duration::from_secs(3);
/// The longest wait for events in all.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct Fleet {
    run: Rc<Run>,
    subscribers: Vec<Rc<Subscriber>>,
    tasks: JoinSet<()>,
    connecting: Rc<Connecting>,
}

struct Subscriber {
    number: u32,
    receipts: Receipts,
    state: Cell<State>,
    request: RefCell<Vec<u8>>,
}

/// What all subscribers received, and what they should have received.
#[derive(Debug, Default)]
pub(crate) struct AllReceipts {
    pub counts: Counts,
    /// Accepted events, for each subscriber.
    pub due: u64,
    /// Those that did not arrive.
    pub missing: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Live,
    /// The server closed the stream, or never opened it.
    Lost,
}

struct Connecting {
    gate: Semaphore,
    connected: Cell<u32>,
    failed: Cell<u32>,
    first_failure: RefCell<Option<String>>,
    lost: Cell<u32>,
    changed: Notify,
}

impl Fleet {
    /// Subscribers that are not connected yet.
    pub(crate) fn new(run: &Rc<Run>) -> Self {
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
            connecting: Rc::new(Connecting::new(index(args.connecting))),
            tasks: JoinSet::new(),
            run: run.clone(),
        }
    }

    /// Prepares the requests before the connecting, so that only the connecting is measured.
    pub(crate) fn prepare(&mut self) -> Result<(), BenchError> {
        for subscriber in &self.subscribers {
            let cursor = subscriber.receipts.cursor.take();
            let last = cursor.as_ref().and_then(Cursor::last);
            let request = self.run.plan.stream_request(subscriber.number, last)?;
            // Only the first cursor is needed, to come back with.
            subscriber
                .receipts
                .cursor
                .replace(cursor.filter(|c| c.last().is_none()));
            subscriber.request.replace(request);
        }
        Ok(())
    }

    /// Connects all subscribers. They go on reading in the background.
    pub(crate) async fn connect(&mut self) -> Result<Connects, BenchError> {
        self.run.enter(Stage::Connecting);
        let gauge = Gauge::read(&self.run);
        let started = Instant::now();
        for subscriber in &self.subscribers {
            let (subscriber, run) = (subscriber.clone(), self.run.clone());
            self.tasks
                .spawn_local(live(subscriber, run, self.connecting.clone()));
        }
        let asked = self.run.plan.args.subscribers;
        while self.connecting.connected.get() + self.connecting.failed.get() < asked {
            self.connecting.changed.notified().await;
        }
        let took = started.elapsed();
        self.connecting
            .report(asked, took, &gauge.until_now(&self.run))
    }

    /// Disconnects all subscribers.
    pub(crate) async fn disconnect(&mut self) {
        self.tasks.shutdown().await;
        self.subscribers
            .iter()
            .for_each(|s| s.state.set(State::Away));
        self.connecting = Rc::new(Connecting::new(index(self.run.plan.args.connecting)));
    }

    /// Returns when the server has closed all streams.
    pub(crate) async fn all_lost(&self) {
        while self.subscribers.is_empty() || self.lost() < self.connecting.connected.get() {
            self.connecting.changed.notified().await;
        }
    }

    /// Waits until every live stream has every accepted event, as long as events arrive.
    pub(crate) async fn drain(&self) {
        self.run.enter(Stage::Draining);
        let started = Instant::now();
        let mut latest = (self.run.received.get(), started);
        while !self.is_caught_up() && started.elapsed() < DRAIN_LIMIT && latest.1.elapsed() < QUIET
        {
            sleep(LOOK_AGAIN).await;
            let received = self.run.received.get();
            if received != latest.0 {
                latest = (received, Instant::now());
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

    /// The receipts of all subscribers. A stream that was never opened misses everything.
    pub(crate) fn receipts(&self) -> AllReceipts {
        let ledger = self.run.ledger.borrow();
        let mut all = AllReceipts::default();
        for subscriber in &self.subscribers {
            let tracker = subscriber.receipts.tracker.borrow();
            all.counts += tracker.counts;
            all.due += tracker.due(&ledger);
            all.missing += tracker.missing(&ledger);
        }
        all
    }

    /// The time of each stream's last event, in order.
    pub(crate) fn last_receipts(&self) -> Vec<u64> {
        let last = |s: &Rc<Subscriber>| s.receipts.tracker.borrow().last_ns;
        let mut all: Vec<u64> = self.opened().map(last).collect();
        all.sort_unstable();
        all
    }

    /// The number of streams without an id to resume from, or without any event.
    pub(crate) fn unprimed(&self) -> usize {
        let primed = |s: &&Rc<Subscriber>| {
            let cursor = s.receipts.cursor.borrow();
            cursor.as_ref().is_some_and(|c| c.last().is_some())
                && s.receipts.tracker.borrow().counts.received > 0
        };
        self.subscribers.len() - self.subscribers.iter().filter(primed).count()
    }

    /// The number of streams that the server closed.
    pub(crate) fn lost(&self) -> u32 {
        self.connecting.lost.get()
    }

    fn opened(&self) -> impl Iterator<Item = &Rc<Subscriber>> {
        self.subscribers
            .iter()
            .filter(|s| s.state.get() != State::Away)
    }
}

impl Connecting {
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

    fn report(&self, asked: u32, took: Duration, span: &Span) -> Result<Connects, BenchError> {
        let connected = self.connected.get();
        let first_failure = self.first_failure.borrow().clone();
        if connected == 0 && asked > 0 {
            let cause = first_failure.unwrap_or_default();
            return Err(BenchError::NoStreams { asked, cause });
        }
        let cpu = span.cpu_us_each(connected);
        Ok(Connects {
            connected,
            failed: self.failed.get(),
            first_failure,
            seconds: took.as_secs_f64(),
            per_second: per(u64::from(connected), took.as_secs_f64()),
            server_cpu_us: cpu.map(|cpu| cpu.own),
            tree_cpu_us: cpu.and_then(|cpu| cpu.tree),
        })
    }

    fn add(&self, to: &Cell<u32>) {
        to.set(to.get() + 1);
        self.changed.notify_one();
    }
}

/// Opens one stream and reads it to its end.
async fn live(subscriber: Rc<Subscriber>, run: Rc<Run>, connecting: Rc<Connecting>) {
    let Some(opened) = open(&subscriber, &run, &connecting).await else {
        return;
    };
    subscriber.state.set(State::Live);
    connecting.add(&connecting.connected);
    run.connected.set(connecting.connected.get());
    if !subscriber.receipts.timed {
        // An error means that the run has ended, and this task with it.
        let _ = run.resumed.subscribe().wait_for(|resumed| *resumed).await;
    }
    Reader::read_to_end(opened, &subscriber.receipts, &run).await;
    subscriber.state.set(State::Lost);
    connecting.add(&connecting.lost);
}

async fn open(subscriber: &Subscriber, run: &Run, connecting: &Connecting) -> Option<Opened> {
    let _permit = connecting.gate.acquire().await.ok()?;
    let route = Route {
        server: run.plan.server,
        source: run.plan.source_of(subscriber.number),
        stalled: !subscriber.receipts.timed,
    };
    let request = subscriber.request.take();
    match open_stream(route, &request).await {
        Ok(opened) => Some(opened),
        Err(error) => {
            connecting
                .first_failure
                .borrow_mut()
                .get_or_insert(error.to_string());
            connecting.add(&connecting.failed);
            None
        }
    }
}
