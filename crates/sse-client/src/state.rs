//! What a client of a stream does next, without a network and without a clock.

use std::time::Duration;

use crate::parser::{Parser, ServerEvent};

const EVENT_STREAM: &str = "text/event-stream";
const PROBLEM: &str = "application/problem+json";
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A connection is given up after this long without a byte, until it has said how often heartbeats come.
const SILENCE: Duration = Duration::from_secs(20);
const HEARTBEATS_OF_SILENCE: f64 = 2.5;
const MAX_HEARTBEAT_SECONDS: u64 = 3_600;
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Times are durations since a beginning that the caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a request, not before this time.
    Connect { at: Duration },
    /// Wait for the answer, or for more of it, until this time.
    Read { until: Duration },
    /// Make no further request: the service has answered with this status.
    Stop { status: u16 },
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub content_type: Option<&'a str>,
    pub retry_after: Option<&'a str>,
}

/// A client of one stream.
pub struct StreamState<J> {
    step: Step,
    parser: Parser,
    /// Draws a duration up to its argument.
    jitter: J,
    failures: u32,
    retry: Duration,
    silence: Duration,
    reason: String,
}

impl<J: FnMut(Duration) -> Duration> StreamState<J> {
    /// A client that connects at once, and continues after `cursor` if that is not empty.
    pub fn new(cursor: &str, jitter: J, now: Duration) -> Self {
        Self {
            step: Step::Connect { at: now },
            parser: Parser::after(cursor),
            jitter,
            failures: 0,
            retry: Duration::ZERO,
            silence: SILENCE,
            reason: String::new(),
        }
    }

    pub fn step(&self) -> Step {
        self.step
    }

    /// The id of the last complete event, or nothing.
    pub fn cursor(&self) -> &str {
        self.parser.last_id()
    }

    /// Why the last connection ended. Empty before that.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The request is on its way.
    pub fn connect(&mut self, now: Duration) {
        self.parser = Parser::after(self.parser.last_id());
        self.silence = SILENCE;
        self.step = Step::Read {
            until: now + SILENCE,
        };
    }

    /// The head of the answer has come. Returns whether its body is to be read.
    pub fn head(&mut self, answer: Answer<'_>, now: Duration) -> bool {
        let content_type = answer.content_type.unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let is_of = |name: &str| kind.eq_ignore_ascii_case(name);
        match answer.status {
            200 if is_of(EVENT_STREAM) => {
                self.wait_for_bytes(now);
                return true;
            }
            204 | 401 | 403 => {}
            400 | 404 if is_of(PROBLEM) => {}
            status => {
                let at_least = answer.retry_after.and_then(seconds).unwrap_or_default();
                self.fail(&format!("status {status}, {kind:?}"), now, at_least);
                return false;
            }
        }
        self.step = Step::Stop {
            status: answer.status,
        };
        false
    }

    /// A part of the body has come. Returns the events for the application, without heartbeats.
    pub fn body(&mut self, bytes: &[u8], now: Duration) -> Vec<ServerEvent> {
        if bytes.is_empty() {
            return Vec::new();
        }
        let mut events = match self.parser.feed(bytes) {
            Ok(events) => events,
            Err(error) => {
                self.fail(&error.to_string(), now, Duration::ZERO);
                return Vec::new();
            }
        };
        self.retry = self.parser.retry().unwrap_or(self.retry);
        if !events.is_empty() {
            self.failures = 0;
        }
        let ready = events.iter().rfind(|event| event.name == "stream:ready");
        self.silence = ready.and_then(silence).unwrap_or(self.silence);
        events.retain(|event| event.name != "hb");
        self.wait_for_bytes(now);
        events
    }

    /// The request has failed, or the stream has ended.
    pub fn ended(&mut self, reason: &str, now: Duration) {
        self.fail(reason, now, Duration::ZERO);
    }

    /// The time to read until has passed.
    pub fn silent(&mut self, now: Duration) {
        self.fail("silence", now, Duration::ZERO);
    }

    fn wait_for_bytes(&mut self, now: Duration) {
        self.step = Step::Read {
            until: now + self.silence,
        };
    }

    fn fail(&mut self, reason: &str, now: Duration, at_least: Duration) {
        let ceiling = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures));
        let wait = (self.jitter)(ceiling.min(LONGEST_WAIT));
        self.failures = self.failures.saturating_add(1);
        reason.clone_into(&mut self.reason);
        self.step = Step::Connect {
            at: now + wait.max(self.retry).max(at_least),
        };
    }
}

/// How long a stream with this `stream:ready` may be silent.
fn silence(ready: &ServerEvent) -> Option<Duration> {
    let data: serde_json::Value = serde_json::from_str(&ready.data).ok()?;
    let seconds = data["heartbeatSeconds"].as_u64()?;
    let seconds = seconds.clamp(1, MAX_HEARTBEAT_SECONDS);
    Some(Duration::from_secs(seconds).mul_f64(HEARTBEATS_OF_SILENCE))
}

/// The value of a `Retry-After`. A date counts as none.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = || text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs);
    is_number.then(value).map(|wait| wait.min(MAX_RETRY_AFTER))
}
