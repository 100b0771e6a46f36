//! The floor of every comparison: one thread that writes one prepared frame to each socket of a topic
//! with one `write()` each. It keeps events in memory, trusts its clients, and does nothing else.
//!
//! `raw_write 127.0.0.1:8080`: `GET /sub?id=TOPIC` is a stream, which resumes after `Last-Event-ID`.
//! `POST /pub?id=TOPIC` publishes its body. Any other request is answered with 404.

#![expect(clippy::print_stderr, reason = "a program of a benchmark")]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n:ok\n\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
/// More than a stream that comes back can have missed.
const KEPT_EVENTS: usize = 1_000;
const MAX_HEAD_BYTES: usize = 16 * 1_024;
/// Connections that wait to be accepted: thousands of clients that come back at once must not be sent away.
const BACKLOG: u32 = 65_535;

#[derive(Default)]
struct RawServer {
    topics: RefCell<HashMap<String, Rc<RawTopic>>>,
}

#[derive(Default)]
struct RawTopic {
    published: Cell<usize>,
    /// The frames of the last events.
    frames: RefCell<VecDeque<Rc<[u8]>>>,
    streams: RefCell<Vec<Rc<RawStream>>>,
}

struct RawStream {
    socket: TcpStream,
    /// What the socket did not take.
    behind: RefCell<Vec<u8>>,
    fell_behind: Notify,
}

fn main() -> ExitCode {
    let Some(addr) = std::env::args().nth(1) else {
        eprintln!("usage: raw_write ADDRESS:PORT");
        return ExitCode::FAILURE;
    };
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let served = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| LocalSet::new().block_on(&runtime, serve(&addr)));
    if let Err(error) = served {
        eprintln!("{addr}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn serve(addr: &str) -> io::Result<()> {
    let addr = addr.parse().map_err(io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(addr)?;
    let listener = socket.listen(BACKLOG)?;
    let server = Rc::new(RawServer::default());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let server = Rc::clone(&server);
        spawn_local(async move {
            // The client went away.
            let _ = server.connection(socket).await;
        });
    }
}

impl RawServer {
    async fn connection(&self, mut socket: TcpStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        while let Some(head) = read_head(&mut socket, &mut bytes).await? {
            match (head.method.as_str(), head.topic) {
                ("GET", Some(topic)) => {
                    return self.topic(topic).stream(socket, head.last_event).await;
                }
                ("POST", Some(topic)) => {
                    while bytes.len() < head.length {
                        if socket.read_buf(&mut bytes).await? == 0 {
                            return Ok(());
                        }
                    }
                    let body: Vec<u8> = bytes.drain(..head.length).collect();
                    self.topic(topic).publish(&body);
                    socket.write_all(CREATED).await?;
                }
                _ => socket.write_all(NOT_FOUND).await?,
            }
        }
        Ok(())
    }

    fn topic(&self, name: String) -> Rc<RawTopic> {
        Rc::clone(self.topics.borrow_mut().entry(name).or_default())
    }
}

struct RawHead {
    method: String,
    topic: Option<String>,
    length: usize,
    last_event: Option<usize>,
}

/// Reads a head and takes it out of `bytes`.
async fn read_head(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<Option<RawHead>> {
    loop {
        if let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            return Ok(Some(parse(&String::from_utf8_lossy(&head))));
        }
        if bytes.len() > MAX_HEAD_BYTES || socket.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(head: &str) -> RawHead {
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let header = |name: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.trim().parse().ok())
    };
    RawHead {
        method,
        topic: target.split_once("?id=").map(|(_, topic)| topic.to_owned()),
        length: header("content-length").unwrap_or(0),
        last_event: header("last-event-id"),
    }
}

impl RawTopic {
    fn publish(&self, body: &[u8]) {
        let id = self.published.get() + 1;
        self.published.set(id);
        let frame = [b"data: ", body, format!("\nid: {id}\n\n").as_bytes()].concat();
        let frame: Rc<[u8]> = frame.into();
        let mut frames = self.frames.borrow_mut();
        if frames.len() == KEPT_EVENTS {
            frames.pop_front();
        }
        frames.push_back(Rc::clone(&frame));
        for stream in &*self.streams.borrow() {
            stream.write(&frame);
        }
    }

    async fn stream(&self, socket: TcpStream, last_event: Option<usize>) -> io::Result<()> {
        let mut start = STREAM_HEAD.to_vec();
        if let Some(last) = last_event {
            let missed = self.published.get().saturating_sub(last);
            let frames = self.frames.borrow();
            let from = frames.len().saturating_sub(missed);
            for frame in frames.range(from..) {
                start.extend_from_slice(frame);
            }
        }
        // What is published meanwhile comes after what is written here.
        let behind = match socket.try_write(&start) {
            Ok(written) => start.split_off(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => start,
            Err(error) => return Err(error),
        };
        let stream = Rc::new(RawStream {
            socket,
            behind: RefCell::new(behind),
            fell_behind: Notify::new(),
        });
        self.streams.borrow_mut().push(Rc::clone(&stream));
        let ended = stream.run().await;
        self.streams
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, &stream));
        ended
    }
}

impl RawStream {
    fn write(&self, frame: &[u8]) {
        let mut behind = self.behind.borrow_mut();
        // An error shows when the task reads or writes.
        let written = if behind.is_empty() {
            self.socket.try_write(frame).unwrap_or(0)
        } else {
            0
        };
        if written < frame.len() {
            behind.extend_from_slice(&frame[written..]);
            self.fell_behind.notify_one();
        }
    }

    /// Writes what the socket did not take at once, until the client goes away.
    async fn run(&self) -> io::Result<()> {
        loop {
            let is_behind = !self.behind.borrow().is_empty();
            tokio::select! {
                () = self.fell_behind.notified() => {}
                readable = self.socket.readable() => {
                    readable?;
                    match self.socket.try_read(&mut [0; 64]) {
                        Ok(0) => return Ok(()),
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                        _ => {}
                    }
                }
                writable = self.socket.writable(), if is_behind => {
                    writable?;
                    let mut behind = self.behind.borrow_mut();
                    match self.socket.try_write(&behind) {
                        Ok(written) => drop(behind.drain(..written)),
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                        Err(_) => {}
                    }
                }
            }
        }
    }
}
