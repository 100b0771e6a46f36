//! A stream of a task's output. It counts as a stream, and has the same limits.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

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
use crate::stream::{
    HeartbeatInterval, LastWait, PassingRefusal, ServedRef, ServedStream, StreamServices,
    is_to_end, wire,
};

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
) -> Result<OutputStream, PassingRefusal> {
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
    let session = session.map_err(PassingRefusal::from)?;
    let attendance = services.presence.output_opened(caller).await;
    let attendance = attendance.map_err(|_| CloseReason::Unavailable)?;
    let watch = services.watch(member, &caller.broker, &subscription);
    let now = Instant::now();
    let expires_at = services.expires_at(now, caller);
    let figures = services.figures.of(&caller.broker);
    services.count_opened(&figures);
    Ok(OutputStream {
        services: Arc::clone(services),
        reader,
        figures,
        end: Rc::new(OutputEnd {
            subscription,
            expires_at: Cell::new(expires_at),
            is_closed: Cell::new(false),
            last_wait: LastWait::default(),
            given_up: Cell::default(),
        }),
        _permit: permit,
        _session: session,
        _attendance: attendance,
        _watch: watch,
        id,
        expiring_at: services.expiring_at(now, expires_at),
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
    end: Rc<OutputEnd>,
    _permit: Permit,
    _session: SessionGuard,
    _attendance: PresenceGuard,
    _watch: Option<StreamWatch>,
    id: Uuid,
    expiring_at: Option<Instant>,
    heartbeat: HeartbeatInterval,
    next_heartbeat: Instant,
    has_begun: bool,
    is_over: bool,
}

/// What decides whether the stream is to end. The connection asks while the socket takes nothing.
struct OutputEnd {
    subscription: Subscription,
    expires_at: Cell<Instant>,
    /// The service has ended the stream.
    is_closed: Cell<bool>,
    last_wait: LastWait,
    /// It has waited for its socket for too long.
    given_up: Cell<Option<CloseReason>>,
}

impl OutputEnd {
    /// When the stream ends at the latest.
    fn latest(&self) -> Instant {
        let expires_at = self.expires_at.get();
        expires_at.checked_sub(TICK).unwrap_or(expires_at)
    }

    fn must_close(&self) -> Option<CloseReason> {
        let is_over = Instant::now() + TICK >= self.expires_at.get();
        let closing = self.subscription.closing();
        closing.or(is_over.then_some(CloseReason::Expired))
    }
}

impl ServedStream for OutputEnd {
    fn is_given_up(&self, context: &Context<'_>) -> bool {
        if !self.is_closed.get() && !is_to_end(&self.subscription, self.expires_at.get()) {
            self.last_wait.forget();
            self.subscription.wait(context, self.latest());
            return false;
        }
        let is_over = self.last_wait.is_over(&self.subscription, context);
        if is_over {
            self.given_up.set(self.must_close());
        }
        is_over
    }
}

/// Why a waiting stream was woken.
enum Wake {
    Step(Option<OutputStep>),
    Due,
}

impl OutputStream {
    /// What the connection asks while the socket takes nothing.
    #[must_use]
    pub fn served(&self) -> ServedRef {
        let end: Rc<dyn ServedStream> = Rc::clone(&self.end) as _;
        Rc::downgrade(&end)
    }

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
            // Before the end of the token: it may have come while the socket took nothing.
            if let Some(expires_at) = self.end.subscription.take_renewal() {
                return self.renew(expires_at);
            }
            if let Some(reason) = self.end.must_close() {
                return self.close(reason);
            }
            if let Some(text) = self.due_text(Instant::now()) {
                return text;
            }
            match self.next().await {
                Wake::Step(Some(step)) => return self.step_text(&step),
                Wake::Step(None) => return self.close(CloseReason::Unavailable),
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
            return Some(wire::expiring(true, self.end.expires_at.get() - now));
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
        self.end.expires_at.set(expires_at);
        self.expiring_at = self.services.expiring_at(now, expires_at);
        wire::renewed(true, expires_at.saturating_duration_since(now))
    }

    /// Waits until there is more, or something else is due.
    async fn next(&mut self) -> Wake {
        let end = self.end.latest();
        let due = self.expiring_at.map_or(end, |at| at.min(end));
        let subscription = &self.end.subscription;
        let notice = poll_fn(|context| {
            if subscription.renewal().is_some() || subscription.closing().is_some() {
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

    fn close(&mut self, reason: CloseReason) -> String {
        self.is_over = true;
        self.count_end(reason);
        let dispatcher = self.end.subscription.dispatcher();
        let retry = self.services.retry_after_end(dispatcher, reason);
        wire::closing(true, reason, retry)
    }

    fn count_end(&self, reason: CloseReason) {
        self.end.is_closed.set(true);
        self.services.count_closed(&self.figures, reason);
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
        let given_up = self.end.given_up.get();
        if let Some(reason) = given_up.filter(|_| !self.end.is_closed.get()) {
            self.count_end(reason);
        }
        self.services.metrics.streams_open.dec();
    }
}
