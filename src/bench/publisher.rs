//! One keep-alive connection that publishes.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};

use super::body::Body;
use super::connect::{OpenError, read_head, reason};
use super::marker::Mark;
use super::publish::{ANSWER_TIMEOUT, Shared};
use super::request::Buffers;
use super::shared::Run;

/// Between two attempts to reach a server that is not there.
const BACKOFF: Duration = Duration::from_millis(50);

pub(super) struct Publisher {
    run: Rc<Run>,
    shared: Rc<Shared>,
    connection: Option<TcpStream>,
    buffers: Buffers,
    answer: Vec<u8>,
}

/// The events of one POST.
struct Sent {
    topic: u32,
    seqs: std::ops::Range<u32>,
    from_ns: u64,
}

impl Publisher {
    pub(super) fn new(run: Rc<Run>, shared: Rc<Shared>) -> Self {
        Self {
            run,
            shared,
            connection: None,
            buffers: Buffers::default(),
            answer: Vec::new(),
        }
    }

    /// Publishes what is next until nothing is.
    pub(super) async fn run(mut self) {
        while let Some((number, due_ns)) = self.shared.take() {
            sleep_until(self.run.at(due_ns)).await;
            let Some(socket) = self.connect().await else {
                sleep(BACKOFF).await;
                continue;
            };
            let Some(from_ns) = self.shared.counts_from(due_ns, self.run.now_ns()) else {
                return;
            };
            let topic = u32::try_from(number % u64::from(self.run.plan.args.topics)).unwrap_or(0);
            let sent = self.enter(topic, from_ns);
            self.post(socket, &sent).await;
        }
    }

    /// The connection, or a new one if the server closed it meanwhile.
    async fn connect(&mut self) -> Option<TcpStream> {
        if let Some(socket) = self.connection.take() {
            let idle = socket.try_read(&mut [0; 1]);
            if matches!(idle, Err(e) if e.kind() == io::ErrorKind::WouldBlock) {
                return Some(socket);
            }
        }
        let connected = TcpStream::connect(self.run.plan.publish_server).await;
        match connected.and_then(|socket| socket.set_nodelay(true).map(|()| socket)) {
            Ok(socket) => Some(socket),
            Err(error) => {
                self.note(&error.to_string());
                None
            }
        }
    }

    /// Enters the events of one POST and puts its request together.
    fn enter(&mut self, topic: u32, from_ns: u64) -> Sent {
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
        self.shared.tally.borrow_mut().sent_posts += 1;
        Sent {
            topic,
            seqs: first..ledger.len(topic),
            from_ns,
        }
    }

    async fn post(&mut self, socket: TcpStream, sent: &Sent) {
        match timeout(ANSWER_TIMEOUT, self.exchange(socket)).await {
            Ok(Ok(status)) => self.enter_answer(status, sent),
            Ok(Err(error)) => self.note(&error.to_string()),
            Err(_) => self.note("no answer in time"),
        }
    }

    /// Sends the request and reads the answer to its end.
    async fn exchange(&mut self, mut socket: TcpStream) -> Result<u16, OpenError> {
        self.answer.clear();
        socket.write_all(&self.buffers.request).await?;
        let head = read_head(&mut socket, &mut self.answer).await?;
        self.answer.drain(..head.len);
        let mut body = head.body;
        let mut content = Vec::new();
        loop {
            body.take(&self.answer, |data| content.extend_from_slice(data))
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            self.answer.clear();
            let is_over = body == Body::Done || socket.read_buf(&mut self.answer).await? == 0;
            if is_over {
                break;
            }
        }
        if head.keep_alive && body == Body::Done {
            self.connection = Some(socket);
        }
        self.answer = content;
        Ok(head.status)
    }

    fn enter_answer(&self, status: u16, sent: &Sent) {
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
        let mut tally = self.shared.tally.borrow_mut();
        if is_accepted {
            tally.accepted += events;
        } else {
            tally.refused += events;
            let problem = || format!("status {status}: {}", reason(&self.answer));
            tally.first_problem.get_or_insert_with(problem);
        }
        if is_accepted && self.run.window.get().holds(sent.from_ns) {
            tally
                .answers
                .saturating_record((now_ns - sent.from_ns) / 1_000);
        }
    }

    fn note(&self, problem: &str) {
        let mut tally = self.shared.tally.borrow_mut();
        tally
            .first_problem
            .get_or_insert_with(|| problem.to_owned());
    }
}
