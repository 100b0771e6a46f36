//! One keep-alive connection that publishes.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};

use crate::connect::reason;
use crate::kept_connection::KeptConnection;
use crate::marker::Mark;
use crate::request::Buffers;
use crate::schedule::{Lane, Post, Posts};
use crate::shared::Run;

/// The pause between two attempts to reach a server.
const BACKOFF: Duration = Duration::from_millis(50);
/// The limit of one request.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Publisher {
    run: Rc<Run>,
    posts: Rc<Posts>,
    lane: Rc<Lane>,
    connection: KeptConnection,
    buffers: Buffers,
}

/// The events of one POST.
struct Sent {
    topic: u32,
    seqs: std::ops::Range<u32>,
    from_ns: u64,
}

impl Publisher {
    pub(crate) fn new(run: Rc<Run>, posts: Rc<Posts>, lane: Rc<Lane>) -> Self {
        Self {
            run,
            posts,
            lane,
            connection: KeptConnection::default(),
            buffers: Buffers::default(),
        }
    }

    /// Publishes until the schedule is over.
    pub(crate) async fn run(mut self) {
        while let Some(Post { number, due_ns }) = self.posts.take(&self.lane) {
            sleep_until(self.run.at(due_ns)).await;
            let Some(socket) = self.connect().await else {
                sleep(BACKOFF).await;
                continue;
            };
            let Some(from_ns) = self.posts.counts_from(due_ns, self.run.now_ns()) else {
                return;
            };
            let topic = u32::try_from(number % u64::from(self.run.plan.args.topics)).unwrap_or(0);
            let sent = self.prepare(topic, from_ns);
            self.post(socket, &sent).await;
        }
    }

    /// The connection, or a new one if the server has closed it.
    async fn connect(&mut self) -> Option<TcpStream> {
        match self.connection.open(self.run.plan.publish_server).await {
            Ok(socket) => Some(socket),
            Err(error) => {
                self.note(&error.to_string());
                None
            }
        }
    }

    /// Adds the events of one POST to the ledger and writes its request.
    fn prepare(&mut self, topic: u32, from_ns: u64) -> Sent {
        let (run, buffers) = (&self.run, &mut self.buffers);
        let mut ledger = run.ledger.borrow_mut();
        let first = ledger.len(topic);
        let now_ns = run.now_ns();
        buffers.events.clear();
        for _ in 0..run.plan.args.batch {
            let (seq, due_ns) = (ledger.sent(topic, now_ns), from_ns);
            buffers.payload.clear();
            let mark = Mark { topic, seq, due_ns };
            run.marks
                .payload(mark, run.plan.args.payload, &mut buffers.payload);
            run.plan.add_event(topic, buffers);
        }
        run.plan.publish_request(topic, buffers);
        self.posts.tally.borrow_mut().sent_posts += 1;
        Sent {
            topic,
            seqs: first..ledger.len(topic),
            from_ns,
        }
    }

    async fn post(&mut self, socket: TcpStream, sent: &Sent) {
        match timeout(
            ANSWER_TIMEOUT,
            self.connection.exchange(socket, &self.buffers.request),
        )
        .await
        {
            Ok(Ok(status)) => self.record(status, sent),
            Ok(Err(error)) => self.note(&error.to_string()),
            Err(_) => self.note("no answer in time"),
        }
    }

    fn record(&self, status: u16, sent: &Sent) {
        let is_accepted = (200..300).contains(&status);
        let now_ns = self.run.now_ns();
        let mut ledger = self.run.ledger.borrow_mut();
        for seq in sent.seqs.clone() {
            if is_accepted {
                ledger.accepted(sent.topic, seq, now_ns);
            } else {
                ledger.refused(sent.topic, seq);
            }
        }
        let events = u64::from(sent.seqs.end - sent.seqs.start);
        let mut tally = self.posts.tally.borrow_mut();
        if is_accepted {
            tally.accepted += events;
        } else {
            tally.refused += events;
            let problem = || format!("status {status}: {}", reason(&self.connection.answer));
            tally.first_problem.get_or_insert_with(problem);
        }
        if is_accepted && self.run.window.get().holds(sent.from_ns) {
            tally
                .answers
                .saturating_record((now_ns - sent.from_ns) / 1_000);
        }
    }

    fn note(&self, problem: &str) {
        let mut tally = self.posts.tally.borrow_mut();
        tally
            .first_problem
            .get_or_insert_with(|| problem.to_owned());
    }
}
