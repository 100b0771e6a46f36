//! `porchlight tail`, as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::child::ChildProcess;
use crate::support::cluster::TestDatabase;
use crate::support::command::porchlight;
use crate::support::process::Process;
use crate::support::requests::client;
use crate::support::wait::{PATIENCE, soon};
use crate::support::{Answer, Service, Token, eventually};

/// A `porchlight tail` that runs.
struct Tail {
    child: ChildProcess,
    lines: Option<Receiver<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Tail {
    fn start(url: &str, who: &Token, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_porchlight"));
        command.arg("tail").args(options).env_clear();
        command
            .env("PORCHLIGHT_URL", url)
            .env("PORCHLIGHT_TOKEN", who.signed())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = ChildProcess::spawn(&mut command).expect("the binary runs");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return; // Nobody reads: this end of the pipe is closed.
                }
            }
        });
        let stderr = Arc::<Mutex<String>>::default();
        let (kept, mut said) = (Arc::clone(&stderr), BufReader::new(child.stderr()));
        std::thread::spawn(move || {
            let mut line = String::new();
            while said.read_line(&mut line).is_ok_and(|read| read > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Self {
            child,
            lines: Some(lines),
            stderr,
        }
    }

    async fn line(&mut self) -> String {
        let lines = self.lines.take().expect("it is read");
        let read = tokio::task::spawn_blocking(move || (lines.recv_timeout(PATIENCE), lines));
        let (line, lines) = read.await.expect("no panic");
        self.lines = Some(lines);
        line.unwrap_or_else(|_| panic!("no line: {}", self.stderr.lock().unwrap()))
    }

    /// The numbers of the next events.
    async fn numbers(&mut self, count: usize) -> Vec<i64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let line: Value = serde_json::from_str(&self.line().await).expect("JSON");
            numbers.extend(line["data"]["data"]["n"].as_i64());
        }
        numbers
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let ended = eventually("it ends", || std::future::ready(self.child.try_wait()));
        ended.await.code()
    }
}

fn ann() -> Token {
    Token::user("ann", &["a"])
}

fn event(n: i64) -> Value {
    json!({"type": "listing:sold", "audience": {"user": "ann"}, "module": "listings", "recordId": "l-1", "data": {"n": n}})
}

async fn publish(url: &str, numbers: &[i64]) -> Vec<String> {
    let events: Vec<_> = numbers.iter().copied().map(event).collect();
    let request = client(false).post(format!("{url}/events"));
    let request = request.bearer_auth(Token::service("b").signed());
    let answer = Answer::to(request.json(&json!({"events": events}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let answer = answer.json();
    let positions = answer["positions"].as_array().expect("positions").iter();
    positions
        .map(|at| at.as_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn its_cursor_survives_the_end_of_the_service_and_of_itself() {
    let database = TestDatabase::create().await;
    let variables = [("DATABASE_URL", &database.url()[..])];
    let service = Process::start("127.0.0.1:0", &variables).await;
    let (addr, url) = (service.addr.to_string(), service.url(""));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cursor");
    let file_option = format!("--cursor-file={}", file.display());
    let options = ["user", "--json", "--since=0", &file_option];
    publish(&url, &[1, 2, 3]).await;
    let mut tail = Tail::start(&url, &ann(), &options);
    assert_eq!(tail.numbers(3).await, [1, 2, 3]);
    service.kill();
    let service = Process::start(&addr, &variables).await;
    let positions = publish(&url, &[4, 5]).await;
    assert_eq!(tail.numbers(2).await, [4, 5]);
    stored(&file, &positions[1]).await;
    tail.child.signal(Signal::SIGINT);
    assert_eq!(tail.exit_code().await, Some(0));
    publish(&url, &[6, 7]).await;
    // The stored cursor is newer than --since.
    let mut tail = Tail::start(&url, &ann(), &options);
    assert_eq!(tail.numbers(2).await, [6, 7]);
    tail.child.signal(Signal::SIGTERM);
    assert_eq!(tail.exit_code().await, Some(0));
    // What is no cursor leads to a reset.
    std::fs::write(&file, "no cursor at all\n").unwrap();
    let mut tail = Tail::start(&url, &ann(), &["user", "--json", &file_option]);
    let reset = loop {
        let line: Value = serde_json::from_str(&tail.line().await).expect("JSON");
        if line["type"] == "stream:reset" {
            break line;
        }
    };
    assert_eq!(reset["data"]["reason"], "unknown");
    drop(service);
}

/// The file has this cursor, or a later one: heartbeats move it.
async fn stored(file: &Path, position: &str) {
    let number = |cursor: &str| cursor.split('-').next().and_then(|n| n.parse::<i64>().ok());
    eventually("the cursor is stored", async || {
        let cursor = std::fs::read_to_string(file).ok()?;
        (number(&cursor) >= number(position)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn it_ends_when_nobody_reads_its_lines() {
    let service = Service::start().await;
    let mut tail = Tail::start(&service.url(""), &ann(), &["user"]);
    let ready = tail.line().await;
    assert!(ready.contains("stream:ready"), "{ready}");
    // The reader ends at the next line; after that there is nothing more to write.
    tail.lines = None;
    publish(&service.url(""), &[1]).await;
    assert_eq!(tail.exit_code().await, Some(0));
}

#[tokio::test]
async fn lines_say_when_what_and_who_and_have_colours_on_request() {
    let service = Service::start().await;
    let url = service.url("");
    let positions = publish(&url, &[1, 2, 3]).await;
    let options = ["user", "--types=listing:*", "--since=-2", "--limit=2"];
    let mut tail = Tail::start(&url, &ann(), &options);
    let ready = tail.line().await;
    assert!(ready.contains("  stream:ready  "), "{ready}");
    for (n, at) in [(2, &positions[1]), (3, &positions[2])] {
        let line = tail.line().await;
        let parts = format!("  listing:sold            listings/l-1  by svc  {{\"n\":{n}}}  {at}");
        assert!(line.ends_with(&parts), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
    assert_eq!(tail.exit_code().await, Some(0));
    let said = tail.stderr.lock().unwrap().clone();
    assert!(said.contains("following http://127.0.0.1"), "{said}");
    let record = ["records/listings/l-1", "--since=0", "--color=always"];
    let mut tail = Tail::start(&url, &ann(), &record);
    let line = loop {
        let line = tail.line().await;
        if line.contains("listing:sold") {
            break line;
        }
    };
    assert!(line.contains("\u{1b}[36mlisting:sold"), "{line:?}");
}

#[tokio::test]
async fn a_request_that_is_refused_is_explained() {
    let service = Service::start().await;
    let url = service.url("");
    let token = ann().signed();
    for (options, code, word) in [
        (&["tail", "--token=no.such.token"][..], 1, "token_malformed"),
        (&["tail", "team", "--team=z"], 1, "unknown_team"),
        (&["tail", "--since=x"], 1, "since"),
        (&["tail", "--types=,"], 1, "types"),
        (&["tail", "teams"], 2, "records/MODULE/ID"),
        (&["tail", "--token=a b"], 2, "--token"),
        (&["tail", "--url=live.example.com"], 1, "https://"),
        (&["tail", "--ca-file=/no/such/file"], 1, "certificates"),
        (&["tail", "--cursor-file=/"], 1, "cursor file"),
        (&["tail", "--limit=0"], 2, "--limit"),
    ] {
        let variables = [("PORCHLIGHT_URL", &url[..]), ("PORCHLIGHT_TOKEN", &token)];
        let ended = porchlight(options, &variables).await;
        assert_eq!(ended.code, Some(code), "{options:?} {}", ended.stderr);
        assert!(ended.stderr.contains(word), "{options:?} {}", ended.stderr);
    }
    let ended = porchlight(&["tail"], &[]).await;
    assert!(ended.stderr.contains("--token"), "{}", ended.stderr);
    let help = porchlight(&["tail", "--help"], &[("PORCHLIGHT_TOKEN", "hush-hush")]).await;
    assert!(help.stdout.contains("PORCHLIGHT_TOKEN"), "{}", help.stdout);
    assert!(!help.stdout.contains("hush-hush"), "{}", help.stdout);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_named() {
    let said = async |tail: &Tail, words: &str| {
        eventually("it says why", || {
            let said = tail.stderr.lock().unwrap().contains(words).then_some(());
            std::future::ready(said)
        })
        .await;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let tail = Tail::start(&format!("http://{address}"), &ann(), &[]);
    said(&tail, &format!("cannot connect to {address}: ")).await;
    let service = Service::start().await;
    let tail = Tail::start(&service.url("").replace("http:", "https:"), &ann(), &[]);
    said(&tail, "answers without TLS").await;
    said(&tail, "http:// instead of https://").await;
}

/// Reads a request, and returns its head.
async fn request(listener: &TcpListener) -> (TcpStream, String) {
    let (mut socket, _) = soon("it connects", listener.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = soon("it asks", socket.read_buf(&mut head)).await.unwrap();
        assert_ne!(read, 0, "a whole request");
    }
    (socket, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn it_continues_after_each_fault_where_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/crm", listener.local_addr().unwrap());
    let mut tail = Tail::start(&url, &ann(), &["--json", "--types=a:*"]);
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let block = |n: i64| format!("event: a:b\ndata: {{\"data\":{{\"n\":{n}}}}}\nid: {n}-x\n\n");
    let (mut socket, asked) = request(&listener).await;
    assert!(
        asked.starts_with("GET /crm/stream?heartbeat=8&types=a%3A* HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains("authorization: Bearer ey") && !asked.contains("last-event-id"));
    let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops";
    socket.write_all(page.as_bytes()).await.unwrap();
    // Half of an event, in the middle of a chunk.
    let (mut socket, _) = request(&listener).await;
    let text = chunk(&format!(
        "{}{}",
        block(1),
        "event: a:b\ndata: half\nid: 2-x\n"
    ));
    socket
        .write_all(format!("{head}{text}7f\r\n").as_bytes())
        .await
        .unwrap();
    assert_eq!(tail.numbers(1).await, [1]);
    drop(socket);
    // A clean end.
    let (mut socket, asked) = request(&listener).await;
    assert!(asked.contains("last-event-id: 1-x\r\n"), "{asked}");
    let text = format!("{head}{}0\r\n\r\n", chunk(&block(2)));
    socket.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(tail.numbers(1).await, [2]);
    let (mut socket, asked) = request(&listener).await;
    assert!(asked.contains("last-event-id: 2-x\r\n"), "{asked}");
    socket
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(tail.exit_code().await, Some(0));
    let said = tail.stderr.lock().unwrap().clone();
    assert!(
        said.contains("status 502") && said.contains("nothing more"),
        "{said}"
    );
}
