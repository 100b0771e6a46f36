//! A receiver of OTLP over HTTP, which keeps the spans that it gets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::wait::eventually;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceAnswer {
    Taken,
    Refused(u16),
    /// It reads the request and never answers.
    Never,
}

/// A trace and a span in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanRef {
    pub trace: String,
    pub span: String,
}

#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    pub at: SpanRef,
    pub parent: Option<String>,
    pub name: String,
    pub kind: u64,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<SpanRef>,
    pub is_error: bool,
    /// The attributes of what made it.
    pub resource: BTreeMap<String, String>,
}

impl ReceivedSpan {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", |value| value)
    }
}

#[derive(Debug)]
struct Kept {
    answer: TraceAnswer,
    requests: usize,
    heads: Vec<String>,
    spans: Vec<ReceivedSpan>,
}

pub struct TraceReceiver {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

impl TraceReceiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let addr = listener.local_addr().expect("an address");
        let kept = Arc::new(Mutex::new(Kept {
            answer: TraceAnswer::Taken,
            requests: 0,
            heads: Vec::new(),
            spans: Vec::new(),
        }));
        let shared = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        let url = format!("http://{addr}");
        Self { url, kept }
    }

    /// What it does from now on.
    pub fn answer(&self, answer: TraceAnswer) {
        self.kept.lock().expect("no panic").answer = answer;
    }

    /// The requests that came, answered or not.
    pub fn requests(&self) -> usize {
        self.kept.lock().expect("no panic").requests
    }

    /// The heads of the requests that were taken.
    pub fn heads(&self) -> Vec<String> {
        self.kept.lock().expect("no panic").heads.clone()
    }

    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.kept.lock().expect("no panic").spans.clone()
    }

    /// Waits for so many spans of which this is true.
    pub async fn wait(
        &self,
        what: &str,
        count: usize,
        is_one: impl Fn(&ReceivedSpan) -> bool,
    ) -> Vec<ReceivedSpan> {
        eventually(what, async || {
            let spans = self.spans().into_iter();
            let found: Vec<_> = spans.filter(|span| is_one(span)).collect();
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

async fn serve(mut socket: TcpStream, kept: Arc<Mutex<Kept>>) {
    let Some(request) = read(&mut socket).await else {
        return;
    };
    let answer = {
        let mut kept = kept.lock().expect("no panic");
        kept.requests += 1;
        if kept.answer == TraceAnswer::Taken {
            kept.spans.extend(spans(&request.body));
            kept.heads.push(request.head);
        }
        kept.answer
    };
    let status = match answer {
        TraceAnswer::Taken => "200 OK".to_owned(),
        TraceAnswer::Refused(status) => format!("{status} Refused"),
        TraceAnswer::Never => std::future::pending().await,
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
    // The service may have gone.
    let _ = socket.write_all(answer.as_bytes()).await;
}

struct Request {
    head: String,
    body: Value,
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let body_at = loop {
        if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..body_at].to_vec()).expect("text");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    let (_, length) = head.split_once("content-length: ").expect("a length");
    let length: usize = length.split("\r\n").next()?.parse().expect("a length");
    while bytes.len() < body_at + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[body_at..]).expect("JSON");
    Some(Request { head, body })
}

/// The spans of a body. It must have the form that the specification gives.
fn spans(body: &Value) -> Vec<ReceivedSpan> {
    let mut received = Vec::new();
    for of_resource in list(body, "resourceSpans") {
        let resource = attributes(&of_resource["resource"]);
        for of_scope in list(of_resource, "scopeSpans") {
            assert_eq!(of_scope["scope"]["name"], "porchlight");
            let spans = list(of_scope, "spans").iter();
            received.extend(spans.map(|span| ReceivedSpan {
                at: span_ref(span),
                parent: span["parentSpanId"].as_str().map(|id| hex(id, 16)),
                name: text(span, "name"),
                kind: span["kind"].as_u64().expect("a kind"),
                start_ns: number(span, "startTimeUnixNano"),
                end_ns: number(span, "endTimeUnixNano"),
                attributes: attributes(span),
                links: list(span, "links").iter().map(span_ref).collect(),
                is_error: span["status"]["code"] == 2,
                resource: resource.clone(),
            }));
        }
    }
    received
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().expect("a list")
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().expect("a text").to_owned()
}

/// Numbers of 64 bits are texts.
fn number(of: &Value, name: &str) -> u64 {
    text(of, name).parse().expect("a number")
}

fn hex(id: &str, length: usize) -> String {
    let is_hex = id.bytes().all(|c| b"0123456789abcdef".contains(&c));
    assert!(is_hex && id.len() == length, "{id}");
    id.to_owned()
}

fn span_ref(of: &Value) -> SpanRef {
    SpanRef {
        trace: hex(&text(of, "traceId"), 32),
        span: hex(&text(of, "spanId"), 16),
    }
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let attribute = |attribute: &Value| {
        let value = &attribute["value"];
        let value = value["stringValue"].as_str().or(value["intValue"].as_str());
        (text(attribute, "key"), value.expect("a value").to_owned())
    };
    list(of, "attributes").iter().map(attribute).collect()
}
