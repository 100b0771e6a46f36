//! A stream of a task's output. It counts as a stream, and has the same limits.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{OutputReader, OutputStep};
use crate::collab::PresenceGuard;
use crate::directory::{Member, StreamWatch};
use crate::fanout::{CloseReason, Dispatcher, Permit, Subscription, TICK};
use crate::identity::Caller;
use crate::platform::{BrokerageFigures, TaskId};
use crate::sessions::{NewSession, SessionGuard, SessionKind};
use crate::stream::{HeartbeatInterval, StreamServices, wire};

/// Why no stream can be opened now, as far as it is known without the database.
#[must_use]
pub fn must_wait(services: &StreamServices, dispatcher: &Dispatcher) -> Option<CloseReason> {
    if dispatcher.draining().is_some() {
        return Some(CloseReason::Drain);
    }
    if services.sessions.is_unavailable() {
        return Some(CloseReason::Unavailable);
    }
    let is_full = services.connection_limits.is_full();
    is_full.then_some(CloseReason::Overloaded)
}

pub struct OutputOpening<'a> {
    pub caller: &'a Caller,
    /// The user, if the brokerage was looked up because the token does not name it.
    pub member: Option<Member>,
    /// Where the client is.
    pub client: Option<IpAddr>,
    pub task: &'a TaskId,
    pub reader: OutputReader,
    pub heartbeat: HeartbeatInterval,
}

/// Opens a stream. If the user has too many, the oldest one ends.
pub async fn open(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    opening: OutputOpening<'_>,
) -> Result<OutputStream, CloseReason> {
    let OutputOpening {
        caller,
        member,
        client,
        task,
        reader,
        heartbeat,
    } = opening;
    // It has no topics: time, its limits and the end of the service wake it.
    let subscription = dispatcher.subscribe();
    let permit = services.connection_limits.admit();
    let permit = permit.map_err(|_| CloseReason::Overloaded)?;
    let id = Uuid::new_v4();
    let new = NewSession {
        caller,
        kind: SessionKind::Output(id),
        client,
        scope: format!("task:{task}").into(),
    };
    let session = services.sessions.opened(new, &subscription);
    let session = session.map_err(|_| CloseReason::Overloaded)?;
    let attendance = services.presence.output_opened(caller).await;
    let attendance = attendance.map_err(|_| CloseReason::Unavailable)?;
    let watch = services.watch(member, &caller.broker, &subscription);
    let now = Instant::now();
    let until_end = Duration::try_from(caller.expires_at - services.clock.now());
    let expires_at = now + until_end.unwrap_or_default();
    services.metrics.streams_open.inc();
    services.metrics.streams_opened.inc();
    let figures = services.figures.of(&caller.broker);
    figures.opened.add(1);
    Ok(OutputStream {
        services: Arc::clone(services),
        reader,
        figures,
        subscription,
        _permit: permit,
        _session: session,
        _attendance: attendance,
        _watch: watch,
        id,
        expiring_at: services.expiring_at(now, expires_at),
        expires_at,
        heartbeat,
        next_heartbeat: now + heartbeat.duration(),
        has_begun: false,
        is_over: false,
    })
}

/// An open stream of output. It has a position and no text.
pub struct OutputStream {
    services: Arc<StreamServices>,
    reader: OutputReader,
    figures: Arc<BrokerageFigures>,
    subscription: Subscription,
    _permit: Permit,
    _session: SessionGuard,
    _attendance: PresenceGuard,
    _watch: Option<StreamWatch>,
    id: Uuid,
    expiring_at: Option<Instant>,
    expires_at: Instant,
    heartbeat: HeartbeatInterval,
    next_heartbeat: Instant,
    has_begun: bool,
    is_over: bool,
}

/// Why a waiting stream was woken.
enum Wake {
    Step(Option<OutputStep>),
    Renewed(Instant),
    Due,
}

impl OutputStream {
    /// The bytes of the stream.
    pub fn into_bytes(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut stream| {
            if stream.is_over {
                return None;
            }
            let text = stream.next_text().await;
            Some((Ok(text.into()), stream))
        })
    }

    async fn next_text(&mut self) -> String {
        if !self.has_begun {
            self.has_begun = true;
            return self.opening();
        }
        loop {
            if let Some(reason) = self.must_close() {
                return self.close(reason);
            }
            if let Some(text) = self.due_text(Instant::now()) {
                return text;
            }
            match self.next().await {
                Wake::Step(Some(step)) => return self.step_text(&step),
                Wake::Step(None) => return self.close(CloseReason::Unavailable),
                Wake::Renewed(expires_at) => return self.renew(expires_at),
                Wake::Due => {}
            }
        }
    }

    fn opening(&self) -> String {
        let (services, usual) = (&self.services, wire::RETRY_USUAL);
        let ready = json!({
            "type": "stream:ready",
            "stream": self.id.simple().to_string(),
            "heartbeatSeconds": self.heartbeat.seconds(),
        });
        wire::hello(services.dice.between(usual / 3, usual)) + &wire::control(true, &ready, None)
    }

    /// A warning before the token ends, or a heartbeat, if one is due.
    fn due_text(&mut self, now: Instant) -> Option<String> {
        if self.expiring_at.is_some_and(|at| at <= now) {
            self.expiring_at = None;
            return Some(wire::expiring(true, self.expires_at - now));
        }
        if now < self.next_heartbeat {
            return None;
        }
        self.postpone_heartbeat();
        Some(wire::HEARTBEAT.to_owned())
    }

    /// The stream has got a fresh token, which ends then.
    fn renew(&mut self, expires_at: Instant) -> String {
        let now = Instant::now();
        self.expires_at = expires_at;
        self.expiring_at = self.services.expiring_at(now, expires_at);
        wire::renewed(true, expires_at.saturating_duration_since(now))
    }

    /// Waits until there is more, or something else is due.
    async fn next(&mut self) -> Wake {
        let end = self.expires_at.checked_sub(TICK).unwrap_or(self.expires_at);
        let due = self.expiring_at.map_or(end, |at| at.min(end));
        let subscription = &self.subscription;
        let notice = poll_fn(|context| {
            if let Some(expires_at) = subscription.take_renewal() {
                return Poll::Ready(Wake::Renewed(expires_at));
            }
            if subscription.closing().is_some() {
                return Poll::Ready(Wake::Due);
            }
            subscription.wait(context, due);
            Poll::Pending
        });
        tokio::select! {
            wake = notice => wake,
            () = sleep_until(self.next_heartbeat.min(due)) => Wake::Due,
            step = self.reader.next() => Wake::Step(step),
        }
    }

    fn must_close(&self) -> Option<CloseReason> {
        let is_over = Instant::now() + TICK >= self.expires_at;
        let closing = self.subscription.closing();
        closing.or(is_over.then_some(CloseReason::Expired))
    }

    fn close(&mut self, reason: CloseReason) -> String {
        self.is_over = true;
        let closed = &self.services.metrics.streams_closed;
        closed.get_or_create(&[("reason", reason.as_str())]).inc();
        self.figures.closed.add(reason.as_str());
        let dispatcher = self.subscription.dispatcher();
        let retry = self.services.retry_after_end(dispatcher, reason);
        wire::closing(true, reason, retry)
    }

    fn postpone_heartbeat(&mut self) {
        self.next_heartbeat = Instant::now() + self.heartbeat.duration();
    }

    fn step_text(&mut self, step: &OutputStep) -> String {
        self.postpone_heartbeat();
        let data = match step {
            OutputStep::Text { from, text, .. } => json!({"offset": from, "text": text}),
            OutputStep::Restart(at) => json!({"attempt": at.attempt}),
            OutputStep::End(state, at) => {
                self.is_over = true;
                json!({"state": state, "offset": at.byte})
            }
        };
        let (name, at) = (step.name(), step.position());
        let (attempt, byte) = (at.attempt, at.byte);
        format!("event: {name}\ndata: {data}\nid: {attempt}-{byte}\n\n")
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.services.metrics.streams_open.dec();
    }
}
