//! A small server of event streams with configured faults.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;

/// What goes wrong, each at the publish of this number (from 0).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub drop: Option<usize>,
    pub repeat: Option<usize>,
    /// Sent after the next one.
    pub hold: Option<usize>,
    pub misroute: Option<usize>,
    pub refuse: Option<usize>,
    pub die: Option<usize>,
    pub refuse_streams: bool,
    /// Streams are chunked, and written in chunks of this size.
    pub chunk: Option<usize>,
}

pub(crate) struct Fake {
    pub url: String,
    pub requests: RefCell<Vec<Request>>,
    pub connections: Cell<usize>,
    faults: Faults,
    published: Cell<usize>,
    held: RefCell<Option<FakeEvent>>,
    wires: RefCell<HashMap<String, Vec<Vec<u8>>>>,
    changed: watch::Sender<usize>,
}

#[derive(Clone)]
struct FakeEvent {
    topic: String,
    data: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub head: String,
    pub body: String,
}

const DEAD: usize = usize::MAX;

impl Fake {
    /// Serves on the present `LocalSet` until it dies.
    pub(crate) async fn start(faults: Faults) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Rc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: RefCell::default(),
            connections: Cell::new(0),
            faults,
            published: Cell::new(0),
            held: RefCell::default(),
            wires: RefCell::default(),
            changed: watch::Sender::new(0),
        });
        spawn_local(fake.clone().accept(listener));
        fake
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        while let (Ok((socket, _)), false) = (listener.accept().await, self.is_dead()) {
            let fake = self.clone();
            fake.connections.set(fake.connections.get() + 1);
            spawn_local(async move {
                let mut changed = fake.changed.subscribe();
                tokio::select! {
                    _ = fake.serve(socket) => {}
                    _ = changed.wait_for(|n| *n == DEAD) => {}
                }
            });
        }
    }

    fn is_dead(&self) -> bool {
        *self.changed.borrow() == DEAD
    }

    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        loop {
            let request = read_request(&mut socket).await?;
            self.requests.borrow_mut().push(request.clone());
            if request.head.starts_with("GET /health ") {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                socket.write_all(answer).await?;
                continue;
            }
            if request.head.starts_with("GET") {
                return self.stream(socket, &request).await;
            }
            let answer: &[u8] = if self.publish(&request) {
                b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
            } else {
                b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n"
            };
            socket.write_all(answer).await?;
        }
    }

    fn publish(&self, request: &Request) -> bool {
        let number = Some(self.published.replace(self.published.get() + 1));
        if number == self.faults.refuse {
            return false;
        }
        let mut topic = topic(request);
        if number == self.faults.misroute {
            topic.push('0');
        }
        let event = FakeEvent {
            topic,
            data: request.body.clone().into_bytes(),
        };
        if number == self.faults.hold {
            self.held.replace(Some(event));
        } else if number != self.faults.drop {
            let copies = 1 + usize::from(number == self.faults.repeat);
            (0..copies).for_each(|_| self.put(event.clone()));
            self.held.take().into_iter().for_each(|held| self.put(held));
        }
        let is_last = number == self.faults.die;
        self.changed
            .send_modify(|n| *n = if is_last { DEAD } else { *n + 1 });
        true
    }

    fn put(&self, event: FakeEvent) {
        let mut wires = self.wires.borrow_mut();
        let wire = wires.entry(event.topic).or_default();
        let id = wire.len() + 1;
        wire.push(
            [
                b"data: ",
                &event.data[..],
                format!("\nid: {id}\n\n").as_bytes(),
            ]
            .concat(),
        );
    }

    async fn stream(&self, mut socket: TcpStream, request: &Request) -> io::Result<()> {
        if self.faults.refuse_streams {
            let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nnot you!";
            return socket.write_all(refusal).await;
        }
        let encoding = self
            .faults
            .chunk
            .map_or("", |_| "Transfer-Encoding: chunked\r\n");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{encoding}\r\n");
        socket.write_all(head.as_bytes()).await?;
        let (topic, mut changed) = (topic(request), self.changed.subscribe());
        let mut at = last_event_id(&request.head).unwrap_or_else(|| self.after(&topic, 0).len());
        loop {
            changed.borrow_and_update();
            for event in self.after(&topic, at) {
                at += 1;
                self.write(&mut socket, &event).await?;
            }
            changed.changed().await.map_err(io::Error::other)?;
        }
    }

    fn after(&self, topic: &str, at: usize) -> Vec<Vec<u8>> {
        let wires = self.wires.borrow();
        wires
            .get(topic)
            .map_or(Vec::new(), |wire| wire[at..].to_vec())
    }

    async fn write(&self, socket: &mut TcpStream, event: &[u8]) -> io::Result<()> {
        let Some(size) = self.faults.chunk else {
            return socket.write_all(event).await;
        };
        for piece in event.chunks(size) {
            let size = format!("{:x}\r\n", piece.len());
            socket
                .write_all(&[size.as_bytes(), piece, b"\r\n"].concat())
                .await?;
        }
        Ok(())
    }
}

/// The first `bench-team-N` of a request, wherever it stands; in a token it stands encoded.
fn topic(request: &Request) -> String {
    let text = format!("{}{}", request.head, request.body);
    let Some(at) = text.find("bench-team-") else {
        return "bench-team-0".to_owned();
    };
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    text[at..].split(ends).next().unwrap().to_owned()
}

fn last_event_id(head: &str) -> Option<usize> {
    head.lines()
        .find_map(|line| line.strip_prefix("Last-Event-ID: "))?
        .parse()
        .ok()
}

async fn read_request(socket: &mut TcpStream) -> io::Result<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
                let (head, body) = (head.to_owned(), body.to_owned());
                return Ok(Request { head, body });
            }
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
