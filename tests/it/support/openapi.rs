//! Requests and answers, held against openapi.yaml: whatever the tests exchange with the service
//! must be described there.

mod bytes;
mod document;
mod forms;
mod schemas;
mod seen;
mod things;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use reqwest::Request;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Message;
pub use bytes::{Head, assert_connection_described};
use document::Found;
pub use document::{DESCRIBED, Operation, Response, members, resolved};
pub use seen::all as all_seen;

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// Nothing where the body was streamed.
    pub body: Option<Vec<u8>>,
}

/// An answer as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// Nothing where it has no end, or was not read.
    pub body: Option<&'a str>,
}

impl Sent {
    pub fn of(request: &Request) -> Self {
        let body = request.body().map_or(Some(&[][..]), |body| body.as_bytes());
        Self {
            method: request.method().to_string(),
            path: request.url().path().to_owned(),
            query: request.url().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            body: body.map(<[u8]>::to_vec),
        }
    }

    /// A GET that a test writes itself.
    pub fn get(target: &str) -> Self {
        Self::bodiless("GET", target)
    }

    /// A request whose headers and body are not looked at.
    fn bodiless(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    /// The operation that this is a request for.
    pub fn operation(&self) -> Option<&'static Operation> {
        if self.method != "HEAD" {
            return DESCRIBED.operation(&self.method, &self.path);
        }
        // It is answered like GET, without the body, except for streams.
        let get = DESCRIBED.operation("GET", &self.path);
        get.filter(|operation| !operation.is_stream())
    }

    fn describe(&self) -> String {
        let body = self.body.as_deref().unwrap_or_default();
        let body: String = String::from_utf8_lossy(body).chars().take(500).collect();
        format!("{} {}?{} {body}", self.method, self.path, self.query)
    }
}

/// Panics if the document does not describe this request or its answer. Otherwise notes what was received.
#[track_caller]
pub fn assert_described(sent: &Sent, received: Received<'_>) {
    let found = contradictions(sent, received);
    if found.is_empty() {
        note(sent, received);
    }
    assert!(
        found.is_empty(),
        "openapi.yaml says otherwise: {}\nanswered {} {:?}\n{}",
        sent.describe(),
        received.status,
        received.body,
        found.join("\n"),
    );
}

/// Where the document and this exchange differ.
pub fn contradictions(sent: &Sent, received: Received<'_>) -> Vec<String> {
    // What CORS asks for is no operation.
    if is_preflight(sent, received) {
        return Vec::new();
    }
    let Some(found) = response_to(sent, received.status) else {
        return vec![format!("the status {} is not described", received.status)];
    };
    let mut faults = Vec::new();
    answer(found.response, sent, received, &mut faults);
    if let Some(operation) = found.operation.filter(|_| received.status < 300) {
        accepted(operation, sent, &mut faults);
    }
    faults
}

fn is_preflight(sent: &Sent, received: Received<'_>) -> bool {
    sent.method == "OPTIONS" && received.status != 405
}

/// What the document has for an answer with this status.
fn response_to(sent: &Sent, status: u16) -> Option<Found<'static>> {
    match sent.operation() {
        Some(operation) => operation.response(status),
        None => DESCRIBED.of_no_operation(&sent.path, status),
    }
}

/// Notes what was received with an answer that is as described.
pub fn note(sent: &Sent, received: Received<'_>) {
    let found = response_to(sent, received.status);
    let found = found.filter(|_| !is_preflight(sent, received));
    for thing in found
        .iter()
        .flat_map(|found| things::received(found, sent, received))
    {
        seen::note(thing);
    }
}

/// Hashes of events that were compared. What many streams receive is compared once, which is most of what tests of many
/// streams would do.
static COMPARED: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);
/// Then the set begins anew.
const MOST_COMPARED: usize = 100_000;

/// Panics if the document does not describe this event of a stream.
#[track_caller]
pub fn assert_event_described(response: &Response, message: &Message) {
    let mut hasher = DefaultHasher::new();
    std::ptr::from_ref(response).hash(&mut hasher);
    message.hash(&mut hasher);
    let hash = hasher.finish();
    let compared = || COMPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if compared().contains(&hash) {
        return;
    }
    compare_event(response, message);
    let mut compared = compared();
    if compared.len() >= MOST_COMPARED {
        compared.clear();
    }
    compared.insert(hash);
}

#[track_caller]
fn compare_event(response: &Response, message: &Message) {
    let mut event = serde_json::json!({"data": message.data});
    if !message.name.is_empty() {
        event["event"] = Value::from(&*message.name);
    }
    if message.has_id {
        event["id"] = Value::from(&*message.id);
    }
    let data: Value = match serde_json::from_str(&message.data) {
        Err(_) if is_json(&message.data) => return,
        data => data.unwrap_or_default(),
    };
    let name = data["type"].as_str().unwrap_or(&message.name);
    let form = response.events.iter().find(|form| form.has_name(name));
    let form = form.unwrap_or_else(|| panic!("openapi.yaml does not describe the event {name}"));
    if let Err(error) = DESCRIBED.schemas.check(form.schema, &event) {
        panic!("openapi.yaml says otherwise: {event:#}\n{error}");
    }
    seen::note(form.noted(name));
}

fn answer(response: &Response, sent: &Sent, received: Received<'_>, found: &mut Vec<String>) {
    for (name, header) in &response.headers {
        match text(received.headers, name) {
            None if header.is_required => found.push(format!("the header {name} is missing")),
            None => {}
            Some(value) => found.extend(header.schema.fault(value, &format!("the header {name}"))),
        }
    }
    for name in received.headers.keys().map(HeaderName::as_str) {
        if response.headers.contains_key(name) || document::GENERAL_HEADERS.contains(&name) {
            continue;
        }
        let value = text(received.headers, name).unwrap_or_default();
        match DESCRIBED.common_headers.get(name) {
            Some(header) => found.extend(header.schema.fault(value, &format!("the header {name}"))),
            None => found.push(format!("the header {name} is not described")),
        }
    }
    let Some(body) = received.body.filter(|_| sent.method != "HEAD") else {
        return;
    };
    if response.content.is_empty() {
        found.extend((!body.is_empty()).then(|| "a body is not described".to_owned()));
        return;
    }
    let media_type = media_type(received.headers);
    if media_type == "text/event-stream" {
        found.push("a stream is received as a `Stream`, which compares its events".to_owned());
    }
    let Some(schema) = response.content.get(&media_type) else {
        found.push(format!("a body of type {media_type:?} is not described"));
        return;
    };
    if media_type.ends_with("json") {
        match serde_json::from_str(body) {
            Ok(body) => found.extend(DESCRIBED.schemas.check(*schema, &body).err()),
            Err(_) if is_json(body) => {}
            Err(error) => found.push(format!("the body is not JSON: {error}")),
        }
    }
}

/// What is delivered to the letter may be JSON that this parser makes no value of: `1e400`.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// What the service accepts must be a request that the document allows.
fn accepted(operation: &Operation, sent: &Sent, found: &mut Vec<String>) {
    for (name, value) in form_urlencoded::parse(sent.query.as_bytes()) {
        let known = operation
            .parameters
            .iter()
            .find(|p| p.is_in("query", &name));
        match known {
            Some(parameter) => {
                let what = format!("the parameter {name}");
                found.extend(parameter.schema.fault(&value, &what));
            }
            None if name == "access_token" || operation.is_public => {}
            None if name == "ticket" && operation.takes_ticket => {}
            None => found.push(format!("the parameter {name} is not described")),
        }
    }
    for parameter in operation.parameters.iter().filter(|p| p.place == "header") {
        if let Some(value) = text(&sent.headers, &parameter.name) {
            let what = format!("the header {} of the request", parameter.name);
            found.extend(parameter.schema.fault(value, &what));
        }
    }
    for (name, value) in operation.path_parts(&sent.path) {
        let known = operation.parameters.iter().find(|p| p.is_in("path", name));
        let fault = known.and_then(|p| p.schema.fault(&value, &format!("the part {name}")));
        found.extend(fault);
    }
    accepted_body(operation, sent, found);
}

fn accepted_body(operation: &Operation, sent: &Sent, found: &mut Vec<String>) {
    let (Some(body), Some(request)) = (&sent.body, &operation.request) else {
        return;
    };
    if body.is_empty() {
        found.extend(
            request
                .is_required
                .then(|| "no body was accepted".to_owned()),
        );
        return;
    }
    let media_type = media_type(&sent.headers);
    let Some(schema) = request.content.get(&media_type) else {
        found.push(format!("a request of type {media_type:?} was accepted"));
        return;
    };
    if let Ok(body) = serde_json::from_slice(body).map_err(drop) {
        let fault = DESCRIBED.schemas.check(*schema, &body).err();
        found.extend(fault.map(|fault| format!("the request was accepted, but: {fault}")));
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = text(headers, "content-type").unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}
