//! A claim that waits: it tries again whenever a task of one of its types becomes available.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::directory::{LookupError, Member};
use crate::fanout::TICK;
use crate::fanout::{Dispatcher, EncodedEvent, Reader, RingRead, Visibility};
use crate::identity::Caller;
use crate::log::Epoch;
use crate::platform::Limit;
use crate::platform::Metrics;
use crate::platform::TaskType;
use crate::platform::database::limited;
use crate::sessions::{NewSession, SessionKind, SessionRefusal};
use crate::stream::Scope;
use crate::stream::StreamServices;
use crate::stream::UnknownScope;
use crate::tasks::{AVAILABLE, ClaimRequest, Claimed, TaskError, Tasks};

/// A claim tries again at this interval without an event: events may be lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Why nothing can be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The caller is not a worker.
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    /// After a wait, the brokerage of the worker is not known.
    #[error(transparent)]
    Brokerage(#[from] LookupError),
    /// The claim cannot wait, because the log cannot be read.
    #[error("the log is unavailable")]
    Unavailable,
    #[error("too many requests wait")]
    Refused(SessionRefusal),
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<SessionRefusal> for ClaimError {
    fn from(refusal: SessionRefusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A worker's claim, and how long it waits for a task.
pub struct WaitingClaim<'a> {
    pub services: &'a Arc<StreamServices>,
    pub dispatcher: &'a Rc<Dispatcher>,
    pub tasks: &'a Tasks,
    pub caller: &'a Caller,
    pub request: &'a ClaimRequest,
    pub wait: Duration,
    /// Where the worker is.
    pub client: Option<IpAddr>,
    /// The worker, if the brokerage was looked up because the token has none.
    pub member: Option<Member>,
}

impl WaitingClaim<'_> {
    /// Claims a task of the caller's brokerage, or waits for one. A caller that goes away while it
    /// waits takes no task along: tasks are claimed only between two waits.
    pub async fn run(self) -> Result<Option<Claimed>, ClaimError> {
        let (services, caller) = (self.services, self.caller);
        let audiences = Scope::Worker.audiences(caller)?;
        if self.wait.is_zero() {
            return Ok(self.tasks.claim(&caller.broker, self.request).await?);
        }
        let handle = services.log_handle.join(&caller.broker).await;
        let handle = handle.map_err(|_| ClaimError::Unavailable)?;
        // The reader subscribes before the first claim, so that no event is missed in between.
        let reader = Reader::new(self.dispatcher, handle, audiences);
        let subscription = reader.subscription();
        let _watch = services.watch(self.member.clone(), &caller.broker, subscription);
        let new = NewSession {
            caller,
            kind: SessionKind::LongPoll,
            client: self.client,
            scope: "tasks".into(),
        };
        let _session = services.sessions.opened(new, subscription)?;
        let now = Instant::now();
        let until = services.expires_at(now, caller).min(now + self.wait);
        let mut seen = Seen::all(&reader);
        let _waiting = CountedWait::begin(&services.metrics);
        loop {
            // The wait may be longer than a request may take, so each claim has a limit.
            let claim = self.tasks.claim(&caller.broker, self.request);
            let claimed = limited(Limit::REQUEST, claim).await?;
            if claimed.is_some() {
                return Ok(claimed);
            }
            let is_over = self.next_try(&reader, &mut seen, until).await;
            // A worker who has moved meanwhile takes nothing along. The next claim is for the new brokerage.
            let moved_to = services.moved_to(self.member.as_ref(), &caller.broker);
            if moved_to.await?.is_some() || is_over {
                return Ok(None);
            }
        }
    }

    /// Waits until the claim must try again (false) or is over (true).
    async fn next_try(&self, reader: &Reader, seen: &mut Seen, until: Instant) -> bool {
        let next_try = until.min(Instant::now() + POLL_INTERVAL);
        poll_fn(|context| {
            let mut is_available = false;
            let read = reader.read(&seen.epoch, seen.position, |frame, _| {
                is_available |= is_for(self.request, &frame.encoded);
                true
            });
            if let RingRead::UpTo(upto) = read {
                seen.position = upto;
            } else {
                // The ring has no answer: continue at its head, and try.
                *seen = Seen::all(reader);
                is_available = true;
            }
            wait(context, reader, is_available, Deadlines { next_try, until })
        })
        .await
    }
}

/// The part of the log in which the claim has looked for tasks.
struct Seen {
    epoch: Epoch,
    position: i64,
}

impl Seen {
    fn all(reader: &Reader) -> Self {
        let (epoch, position) = reader.log_head();
        Self { epoch, position }
    }
}

struct Deadlines {
    next_try: Instant,
    until: Instant,
}

/// Ready when the claim must try again (false) or is over (true).
fn wait(
    context: &Context<'_>,
    reader: &Reader,
    is_available: bool,
    Deadlines { next_try, until }: Deadlines,
) -> Poll<bool> {
    let subscription = reader.subscription();
    let now = Instant::now();
    if subscription.closing().is_some() || now + TICK >= until {
        return Poll::Ready(true);
    }
    if is_available || now >= next_try {
        return Poll::Ready(false);
    }
    subscription.wait(context, next_try.checked_sub(TICK).unwrap_or(next_try));
    Poll::Pending
}

/// Counts as a waiting claim until it is dropped.
struct CountedWait(Arc<Metrics>);

impl CountedWait {
    fn begin(metrics: &Arc<Metrics>) -> Self {
        metrics.claims_waiting.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for CountedWait {
    fn drop(&mut self) {
        self.0.claims_waiting.dec();
    }
}

#[derive(Deserialize)]
struct AvailableEvent {
    data: AvailableData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AvailableData {
    task_type: TaskType,
}

/// Whether an event announces a task that this claim accepts.
fn is_for(request: &ClaimRequest, encoded: &EncodedEvent) -> bool {
    if encoded.event_type() != AVAILABLE {
        return false;
    }
    let event = serde_json::from_str::<AvailableEvent>(encoded.json(Visibility::Masked));
    event.is_ok_and(|event| request.types.contains(&event.data.task_type))
}
