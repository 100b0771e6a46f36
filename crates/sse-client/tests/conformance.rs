//! The cases of `web/conformance`, run against the state.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sse_client::{Answer, ServerEvent, Step, StreamState};

/// What this client lacks: it has no application that handles events later.
const LACKS: &str = "handled";
const PART_BYTES: usize = 1_000;

type Jitter = Box<dyn FnMut(Duration) -> Duration>;

/// A client, with a clock and a network that the case plays.
struct Driver {
    state: StreamState<Jitter>,
    now: Duration,
    /// The positions of the requests, the events, and whether a connection was given up, since the last look.
    requests: Vec<Value>,
    events: Vec<Value>,
    aborted: bool,
}

impl Driver {
    fn start(cursor: &str, random: f64) -> Self {
        let jitter: Jitter = Box::new(move |ceiling| ceiling.mul_f64(random));
        let mut driver = Self {
            state: StreamState::new(cursor, jitter, Duration::ZERO),
            now: Duration::ZERO,
            requests: Vec::new(),
            events: Vec::new(),
            aborted: false,
        };
        driver.fire_timers();
        driver
    }

    fn respond(&mut self, status: u16, headers: &Value) {
        let answer = Answer {
            status,
            content_type: headers["content-type"].as_str(),
            retry_after: headers["retry-after"].as_str(),
        };
        self.state.head(answer, self.now);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let events = self.state.body(bytes, self.now);
        self.events.extend(events.iter().map(shown));
    }

    fn end(&mut self) {
        self.state.ended("it has ended", self.now);
    }

    fn wait(&mut self, time: Duration) {
        let target = self.now + time;
        loop {
            let due = match self.state.step() {
                Step::Connect { at } => at,
                Step::Read { until } => until,
                Step::Stop { .. } => break,
            };
            if due > target {
                break;
            }
            self.now = self.now.max(due);
            self.fire_timers();
        }
        self.now = target;
    }

    fn fire_timers(&mut self) {
        match self.state.step() {
            Step::Connect { at } if at <= self.now => {
                let cursor = self.state.cursor();
                let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
                self.requests.push(json!(cursor));
                self.state.connect(self.now);
            }
            Step::Read { until } if until <= self.now => {
                self.aborted = true;
                self.state.silent(self.now);
            }
            _ => {}
        }
    }

    fn connect_in_ms(&self) -> Value {
        let Step::Connect { at } = self.state.step() else {
            return Value::Null;
        };
        json!(u64::try_from(at.saturating_sub(self.now).as_millis()).unwrap())
    }
}

fn shown(event: &ServerEvent) -> Value {
    json!({"type": event.name, "data": event.data, "id": event.id})
}

fn cases(file: &str) -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/conformance/");
    let text = std::fs::read_to_string(format!("{folder}{file}")).expect("the cases");
    serde_json::from_str(&text).expect("JSON")
}

/// A text that may be written in parts.
fn whole(text: &Value) -> String {
    match text {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(whole).collect(),
        part => {
            let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
            part["repeat"].as_str().unwrap().repeat(times)
        }
    }
}

fn content(of: &Value) -> Vec<u8> {
    match of["base64"].as_str() {
        Some(text) => BASE64_STANDARD.decode(text).unwrap(),
        None => whole(&of["text"]).into_bytes(),
    }
}

fn expected(events: &Value) -> Vec<Value> {
    let event = |event: &Value| {
        let or = |name: &str, default: &str| event[name].as_str().unwrap_or(default).to_owned();
        json!({"type": or("type", "message"), "data": whole(&event["data"]), "id": or("id", "")})
    };
    events
        .as_array()
        .map(|events| events.iter().map(event).collect())
        .unwrap_or_default()
}

/// The ways in which the bytes arrive.
fn divisions<'a>(case: &Value, data: &'a [u8]) -> Vec<Vec<&'a [u8]>> {
    let mut ways = vec![vec![data]];
    if case["long"] == true {
        ways.push(data.chunks(PART_BYTES).collect());
    } else {
        ways.push(data.chunks(1).collect());
        ways.extend((1..data.len()).map(|at| vec![&data[..at], &data[at..]]));
    }
    ways
}

#[test]
fn the_format_is_read_wherever_bytes_are_divided() {
    for case in cases("format.json") {
        let data = content(&case);
        for parts in divisions(&case, &data) {
            let mut driver = Driver::start("", 0.5);
            let kind = case["contentType"].as_str().unwrap_or("text/event-stream");
            driver.respond(200, &json!({"content-type": kind}));
            for part in &parts {
                driver.bytes(part);
            }
            let at = format!("{} in {} parts", case["name"], parts.len());
            assert_eq!(driver.events, expected(&case["events"]), "{at}");
            driver.end();
            assert_eq!(driver.state.cursor(), case["cursor"], "{at}");
        }
    }
}

#[test]
fn faults_lead_to_the_behaviour_of_all_clients() {
    let mut run = 0;
    for case in cases("reconnect.json") {
        if case["needs"] == LACKS {
            continue;
        }
        run += 1;
        let start = &case["start"];
        let cursor = start["cursor"].as_str().unwrap_or_default();
        let random = start["random"].as_f64().unwrap();
        let mut driver = Driver::start(cursor, random);
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let at = format!("{} at step {}", case["name"], number + 1);
            act(&mut driver, step);
            check(&mut driver, step, &at);
        }
    }
    assert!(run > 40, "{run}");
}

fn act(driver: &mut Driver, step: &Value) {
    match step["do"].as_str().unwrap() {
        "start" => {}
        "respond" => {
            let status = u16::try_from(step["status"].as_u64().unwrap()).unwrap();
            driver.respond(status, &step["headers"]);
        }
        "bytes" => driver.bytes(&content(step)),
        "end" | "break" => driver.end(),
        "wait" => driver.wait(Duration::from_millis(step["ms"].as_u64().unwrap())),
        unknown => panic!("{unknown}"),
    }
}

fn check(driver: &mut Driver, step: &Value, at: &str) {
    assert_eq!(
        std::mem::take(&mut driver.events),
        expected(&step["events"]),
        "{at}"
    );
    let asked = std::mem::take(&mut driver.requests);
    let asks: Vec<_> = step.get("asks").into_iter().cloned().collect();
    assert_eq!(asked, asks, "{at}");
    if let Some(cursor) = step.get("cursor") {
        assert_eq!(
            driver.state.cursor(),
            cursor.as_str().unwrap_or_default(),
            "{at}"
        );
    }
    let wait = driver.connect_in_ms();
    match step.get("connectInMs") {
        Some(Value::Object(range)) => {
            let bound = |name: &str| range[name].as_u64().unwrap();
            let wait = wait.as_u64().expect(at);
            assert!(
                (bound("min")..=bound("max")).contains(&wait),
                "{at}: {wait}"
            );
        }
        Some(exact) => assert_eq!(wait, *exact, "{at}"),
        None => {}
    }
    assert_eq!(
        json!(std::mem::take(&mut driver.aborted)),
        step.get("aborted").cloned().unwrap_or(json!(false)),
        "{at}"
    );
    let stopped = matches!(driver.state.step(), Step::Stop { .. });
    assert_eq!(stopped, step["stopped"] == true, "{at}");
}
