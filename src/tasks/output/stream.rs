//! A stream of a task's output. It counts among all streams and is limited like them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{OutputReader, Step};
use crate::directory::{Member, StreamWatch};
use crate::fanout::Permit;
use crate::fanout::TICK;
use crate::fanout::{CloseReason, Dispatcher, Subscription};
use crate::identity::Caller;
use crate::stream::{StreamServices, wire};

/// Why no stream of output can be opened now, if there is a reason that is known without the
/// database.
#[must_use]
pub fn must_wait(services: &StreamServices, dispatcher: &Dispatcher) -> Option<CloseReason> {
    if dispatcher.draining().is_some() {
        return Some(CloseReason::Drain);
    }
    services
        .tickets
        .is_full()
        .then_some(CloseReason::Overloaded)
}

/// What a client asks for.
pub struct OutputOpening<'a> {
    pub caller: &'a Caller,
    /// Whose brokerage was looked up, where the token did not say it.
    pub member: Option<Member>,
    pub reader: OutputReader,
}

/// Opens a stream of what its reader finds. The oldest stream of a user who has too many ends.
pub fn open(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    opening: OutputOpening<'_>,
) -> Result<OutputStream, CloseReason> {
    let OutputOpening {
        caller,
        member,
        reader,
    } = opening;
    // The hub has no news for it: time, its limits and the end of the service wake it.
    let subscription = dispatcher.subscribe(caller.broker.clone(), [].into());
    let person = (caller.broker.clone(), caller.user.clone());
    let permit = services
        .tickets
        .admit(person, dispatcher.mailbox(), subscription.id());
    let permit = permit.map_err(|_| CloseReason::Overloaded)?;
    let watch = services.watch(member, &caller.broker, &subscription);
    let now = Instant::now();
    let until_end = Duration::try_from(caller.expires_at - services.clock.now());
    services.metrics.streams_open.inc();
    services.metrics.streams_opened.inc();
    Ok(OutputStream {
        services: Arc::clone(services),
        reader,
        subscription,
        _ticket: permit,
        _watch: watch,
        expires_at: now + until_end.unwrap_or_default(),
        next_beat: now + services.settings.heartbeat(),
        has_begun: false,
        is_over: false,
    })
}

/// An open stream of output. It holds a place and no text.
pub struct OutputStream {
    services: Arc<StreamServices>,
    reader: OutputReader,
    subscription: Subscription,
    _ticket: Permit,
    _watch: Option<StreamWatch>,
    expires_at: Instant,
    next_beat: Instant,
    has_begun: bool,
    is_over: bool,
}

/// Why a stream goes on.
enum Next {
    Step(Option<Step>),
    Due,
}

impl OutputStream {
    /// The bytes of the stream.
    pub fn into_bytes(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut stream| {
            if stream.is_over {
                return None;
            }
            let text = stream.words().await;
            Some((Ok(text.into()), stream))
        })
    }

    async fn words(&mut self) -> String {
        if !self.has_begun {
            self.has_begun = true;
            let usual = wire::RETRY_USUAL;
            return wire::hello(self.services.dice.between(usual / 3, usual));
        }
        loop {
            if let Some(reason) = self.must_close() {
                return self.close(reason);
            }
            if Instant::now() >= self.next_beat {
                self.rest_until_next_beat();
                return wire::HEARTBEAT.to_owned();
            }
            match self.next().await {
                Next::Step(Some(step)) => return self.tell(&step),
                Next::Step(None) => return self.close(CloseReason::Unavailable),
                Next::Due => {}
            }
        }
    }

    /// Waits until there is more, or something else is due.
    async fn next(&mut self) -> Next {
        let end = self.expires_at.checked_sub(TICK).unwrap_or(self.expires_at);
        let subscription = &self.subscription;
        let closing = poll_fn(|context| {
            if subscription.closing().is_some() {
                return Poll::Ready(());
            }
            subscription.wait(context, end);
            Poll::Pending
        });
        tokio::select! {
            () = closing => Next::Due,
            () = sleep_until(self.next_beat.min(end)) => Next::Due,
            step = self.reader.next() => Next::Step(step),
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
        let dispatcher = self.subscription.dispatcher();
        let retry = self.services.retry_after_end(dispatcher, reason);
        wire::closing(true, reason, retry)
    }

    fn rest_until_next_beat(&mut self) {
        self.next_beat = Instant::now() + self.services.settings.heartbeat();
    }

    fn tell(&mut self, step: &Step) -> String {
        self.rest_until_next_beat();
        let data = match step {
            Step::Text { from, text, .. } => json!({"offset": from, "text": text}),
            Step::Restart(at) => json!({"attempt": at.attempt}),
            Step::End(state, at) => {
                self.is_over = true;
                json!({"state": state, "offset": at.byte})
            }
        };
        let (name, at) = (step.name(), step.place());
        let (attempt, byte) = (at.attempt, at.byte);
        format!("event: {name}\ndata: {data}\nid: {attempt}-{byte}\n\n")
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.services.metrics.streams_open.dec();
    }
}
