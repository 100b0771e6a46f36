//! Follows a stream over all its connections.

use std::io::Write;
use std::time::Duration;

use sse_client::{
    Answer, Connection, HttpAddress, Step, StreamRequest, StreamState, TlsAuthorities,
};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::output::{Printed, TailOutput};
use crate::platform::Dice;

const USER_AGENT: &str = concat!("porchlight-tail/", env!("CARGO_PKG_VERSION"));
/// How much of a refusal is read.
const REFUSAL_BYTES: usize = 16 * 1024;
const REFUSAL_CHARS: usize = 300;
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// Where the events come from.
pub(super) struct TailSource {
    pub(super) address: HttpAddress,
    pub(super) authorities: TlsAuthorities,
    pub(super) token: String,
}

type Jitter = Box<dyn FnMut(Duration) -> Duration>;

pub(super) struct TailSession {
    source: TailSource,
    output: TailOutput,
    state: StreamState<Jitter>,
    started: Instant,
    connection: Option<Connection>,
}

impl TailSession {
    pub(super) fn new(source: TailSource, cursor: &str, output: TailOutput, dice: Dice) -> Self {
        let jitter: Jitter = Box::new(move |most| dice.between(Duration::ZERO, most));
        Self {
            source,
            output,
            state: StreamState::new(cursor, jitter, Duration::ZERO),
            started: Instant::now(),
            connection: None,
        }
    }

    /// Runs until the output is over, or the service says that there is no more.
    pub(super) async fn run(mut self) -> Result<(), String> {
        let stopped = self.output.stopped.clone();
        loop {
            match self.state.step() {
                Step::Connect { at } => {
                    self.connection = None;
                    self.say_why_it_waits(at);
                    tokio::select! {
                        () = sleep_until(self.started + at) => {}
                        () = stopped.cancelled() => return Ok(()),
                    }
                    tokio::select! {
                        () = self.connect() => {}
                        () = stopped.cancelled() => return Ok(()),
                    }
                }
                Step::Read { until } => {
                    let content = tokio::select! {
                        content = self.read(until) => content,
                        () = stopped.cancelled() => return Ok(()),
                    };
                    let events = self.state.body(&content, self.now());
                    if self.output.print(&events, self.state.cursor()).await? == Printed::Last {
                        return Ok(());
                    }
                }
                Step::Stop { status } => return self.refusal(status).await,
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn connect(&mut self) {
        let now = self.now();
        self.state.connect(now);
        let request = StreamRequest {
            address: &self.source.address,
            authorities: &self.source.authorities,
            token: &self.source.token,
            cursor: self.state.cursor(),
            user_agent: USER_AGENT,
        };
        let Step::Read { until } = self.state.step() else {
            return;
        };
        match timeout_at(self.started + until, request.open()).await {
            Ok(Ok(connection)) => {
                if self
                    .state
                    .head(Answer::of(&connection), self.started.elapsed())
                {
                    say(&format!("following {}", self.source.address));
                }
                self.connection = Some(connection);
            }
            Ok(Err(error)) => self.state.ended(&error.to_string(), self.started.elapsed()),
            Err(_) => self.state.silent(self.started.elapsed()),
        }
    }

    /// The next part of the body; nothing when the connection is over.
    async fn read(&mut self, until: Duration) -> Vec<u8> {
        let mut content = Vec::new();
        let Some(connection) = &mut self.connection else {
            return content;
        };
        let read = timeout_at(self.started + until, connection.read(&mut content)).await;
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.state.ended("the stream has ended", self.now()),
            Ok(Err(error)) => self.state.ended(&error.to_string(), self.now()),
            Err(_) => self.state.silent(self.now()),
        }
        content
    }

    fn say_why_it_waits(&self, at: Duration) {
        if !self.state.reason().is_empty() {
            let wait = at.saturating_sub(self.now()).as_secs_f64();
            say(&format!(
                "{}: connecting again in {wait:.1} s",
                self.state.reason()
            ));
        }
    }

    /// Why the service has refused the stream for good.
    async fn refusal(mut self, status: u16) -> Result<(), String> {
        if status == 204 {
            say("the service says that there is nothing more to follow");
            return Ok(());
        }
        let body = match &mut self.connection {
            Some(connection) => {
                let body = tokio::time::timeout(REFUSAL_TIME, connection.rest(REFUSAL_BYTES));
                body.await.unwrap_or_default()
            }
            None => Vec::new(),
        };
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        let detail: String = text("detail").chars().take(REFUSAL_CHARS).collect();
        Err(format!(
            "the service refuses: {status} {}: {detail}",
            text("code")
        ))
    }
}

/// Says something beside the events. It does not matter if nobody reads it.
fn say(text: &str) {
    let text = text.escape_debug();
    let _ = writeln!(std::io::stderr(), "porchlight: {text}");
}
