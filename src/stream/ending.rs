//! The end of a stream whose client reads too little: it does not wait for the client for long.

use std::cell::Cell;
use std::rc::Weak;
use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

use crate::fanout::{Subscription, TICK};
use crate::platform::SmallInstant;

/// How long a stream that is to end waits for its socket to take what it has. A client that reads a little now and
/// then would keep it open for as long as it likes.
const MOST_ENDING: Duration = Duration::from_secs(5);

/// A stream that the HTTP server writes. The server does not ask it for bytes while the socket takes none, so its
/// connection asks it this.
pub trait ServedStream {
    /// Whether the stream is to end, and has waited for its socket for too long. The task of `context` is woken when
    /// this changes.
    fn is_given_up(&self, context: &Context<'_>) -> bool;
}

/// The stream of a connection. The connection does not keep it.
pub type ServedRef = Weak<dyn ServedStream>;

/// Whether a stream of a token that expires then ends as soon as its client has read what was written before.
#[must_use]
pub fn is_to_end(subscription: &Subscription, expires_at: Instant) -> bool {
    // It may have got a fresh token, which it takes before it writes more.
    let expires_at = subscription.renewal().unwrap_or(expires_at);
    subscription.closing().is_some() || subscription.dispatcher().now() + TICK >= expires_at
}

/// When a stream that is to end gives up, if it waits for its socket.
#[derive(Debug, Default)]
pub struct LastWait(Cell<Option<SmallInstant>>);

impl LastWait {
    /// Whether the stream has waited for too long. If not, it is woken when it has.
    #[must_use]
    pub fn is_over(&self, subscription: &Subscription, context: &Context<'_>) -> bool {
        let now = subscription.dispatcher().now();
        let until = self.0.get().unwrap_or((now + MOST_ENDING).into());
        self.0.set(Some(until));
        subscription.wait(context, until.get());
        until.get() <= now
    }

    /// The stream is not to end any more, because it has got a fresh token.
    pub fn forget(&self) {
        self.0.set(None);
    }
}
