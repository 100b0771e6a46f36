//! A client of Server-Sent Events, written after the standard and nothing else.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream as Bodies, StreamExt};
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;

use super::openapi::{Head, Received, Response, Sent, assert_described, assert_event_described};
use super::wait::soon;

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Message {
    pub name: String,
    pub data: String,
    /// The stream's last event id at this event.
    pub id: String,
    /// Whether the event came with an id of its own.
    pub has_id: bool,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("JSON, not {:?}", self.data))
    }

    /// Whether it is an event of the log, and not of the stream itself, nor a state.
    pub fn is_logged(&self) -> bool {
        self.has_id && !self.is_of_stream()
    }

    /// Whether it is a state: a snapshot, or a change that is not logged.
    pub fn is_state(&self) -> bool {
        !self.has_id && !self.is_of_stream()
    }

    fn is_of_stream(&self) -> bool {
        let is = |name: &str| name.starts_with("stream:") || name == "hb";
        if !self.name.is_empty() {
            return is(&self.name);
        }
        let data: Value = serde_json::from_str(&self.data).unwrap_or_default();
        data["type"].as_str().is_some_and(is)
    }

    pub fn position(&self) -> i64 {
        self.id
            .split('-')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a position")
    }
}

/// What comes in; it ends with the connection, however that ends.
pub type Body = Pin<Box<dyn Bodies<Item = Bytes> + Send>>;

pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// `retry:` as last received.
    pub retry_ms: Option<u64>,
    pub last_id: String,
    body: Body,
    unread: String,
    ready: VecDeque<Message>,
    partial: Vec<u8>,
    event: (String, Option<String>, Option<String>),
    described: Option<&'static Response>,
}

impl Stream {
    pub async fn open(request: RequestBuilder) -> Self {
        Self::try_open(request).await.expect("an answer")
    }

    /// The same of a service that may be killed in the middle.
    pub async fn try_open(request: RequestBuilder) -> reqwest::Result<Self> {
        let (client, request) = request.build_split();
        let request = request?;
        let sent = Sent::of(&request);
        let response = client.execute(request).await?;
        let head = Head {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
        };
        let body = response
            .bytes_stream()
            .filter_map(|part| std::future::ready(part.ok()));
        Ok(Self::of(&sent, head, Box::pin(body)))
    }

    /// The stream that answers a request. Its head and its events must be described in openapi.yaml.
    pub fn of(sent: &Sent, head: Head, body: Body) -> Self {
        let received = Received {
            status: head.status,
            headers: &head.headers,
            body: None,
        };
        assert_described(sent, received);
        let described = sent.operation().map(|operation| &operation.responses);
        let described = described.and_then(|responses| responses.get(&head.status));
        Self {
            described,
            ..Self::not_compared(head, body)
        }
    }

    /// A stream that is not compared with openapi.yaml, where there are too many events for that.
    pub fn not_compared(head: Head, body: Body) -> Self {
        Self {
            status: StatusCode::from_u16(head.status).expect("a status"),
            headers: head.headers,
            text: String::new(),
            retry_ms: None,
            last_id: String::new(),
            body,
            unread: String::new(),
            ready: VecDeque::new(),
            partial: Vec::new(),
            event: Default::default(),
            described: None,
        }
    }

    /// The next event; `None` at the end of the stream, clean or not.
    pub async fn try_next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let part = self.body.next().await?;
            self.partial.extend_from_slice(&part);
            // A character may be cut in two by the network.
            let whole = match std::str::from_utf8(&self.partial) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let text: Vec<u8> = self.partial.drain(..whole).collect();
            let text = String::from_utf8(text).expect("checked");
            self.text.push_str(&text);
            let unread = std::mem::take(&mut self.unread) + &text;
            let whole = unread.rfind('\n').map_or(0, |end| end + 1);
            for line in unread[..whole].split_terminator('\n') {
                self.line(line);
            }
            unread[whole..].clone_into(&mut self.unread);
        }
    }

    /// The next event, whatever it is.
    pub async fn next_of_all(&mut self) -> Message {
        soon("an event", self.try_next())
            .await
            .expect("the stream goes on")
    }

    /// The next event of a stream of output, after its beginning.
    pub async fn next_output(&mut self) -> Message {
        let message = self.next_of_all().await;
        if message.name == "stream:ready" {
            return self.next_of_all().await;
        }
        message
    }

    /// The next event that is no state.
    pub async fn next(&mut self) -> Message {
        loop {
            let message = self.next_of_all().await;
            if !message.is_state() {
                return message;
            }
        }
    }

    /// The next state of this name.
    pub async fn next_state(&mut self, name: &str) -> Value {
        loop {
            let message = self.next_of_all().await;
            if message.is_state() && message.name == name {
                return message.json();
            }
        }
    }

    /// The next event of the log.
    pub async fn next_logged(&mut self) -> Message {
        loop {
            let message = self.next().await;
            if message.is_logged() {
                return message;
            }
        }
    }

    /// The next `n` events of the log.
    pub async fn logged(&mut self, n: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < n {
            messages.push(self.next_logged().await);
        }
        messages
    }

    /// The events of the log before the next one of this name, which is read too.
    pub async fn logged_until(&mut self, name: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next_logged().await;
            if message.name == name {
                return messages;
            }
            messages.push(message);
        }
    }

    /// Reads to the end of the stream; states are left out.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = soon("the end of the stream", self.try_next()).await {
            messages.extend((!message.is_state()).then_some(message));
        }
        messages
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let (name, data, id) = std::mem::take(&mut self.event);
            let has_id = id.is_some();
            if let Some(id) = id {
                self.last_id = id;
            }
            if let Some(data) = data {
                let message = Message {
                    name,
                    data,
                    id: self.last_id.clone(),
                    has_id,
                };
                if let Some(response) = self.described {
                    assert_event_described(response, &message);
                }
                self.ready.push_back(message);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.0),
            "data" => match &mut self.event.1 {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "id" => self.event.2 = Some(value.to_owned()),
            "retry" => self.retry_ms = value.parse().ok(),
            _ => {}
        }
    }
}

/// The next reset, before which there is no event of the log.
pub async fn next_reset(stream: &mut Stream) -> Message {
    loop {
        let message = stream.next().await;
        if message.name == "stream:reset" {
            return message;
        }
        assert!(!message.is_logged(), "{message:?}");
    }
}
