//! Opening a stream.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::body::Parts;
use super::log::{Account, StreamLine};
use super::resume::start;
use super::scope::UnknownScope;
use super::wire::{RETRY_FLOOR, RETRY_USUAL};
use super::{Filter, Reader, Scope, Since, StreamBody, present};
use crate::collab::Presence;
use crate::collab::{LockSnapshotLoader, SNAPSHOT as LOCKS};
use crate::directory::{Brokerages, Member, StreamAt, StreamWatch};
use crate::fanout::ConnectionLimits;
use crate::fanout::LogHandle;
use crate::fanout::ReplayLoader;
use crate::fanout::{CloseReason, Dispatcher, Encoding, Subscription};
use crate::identity::Caller;
use crate::platform::LineLimit;
use crate::platform::Metrics;
use crate::platform::database::limited;
use crate::platform::{BrokerId, RequestId};
use crate::platform::{Clock, Dice};
use crate::platform::{Limit, Pool};
use crate::stream::StreamSettings;

/// What streams need of the service.
pub struct StreamServices {
    /// The way into brokers' logs.
    pub log_handle: LogHandle,
    /// Where callers belong, if that is looked up.
    pub brokerages: Option<Brokerages>,
    pub presence: Presence,
    /// For what has left memory.
    pub desk: ReplayLoader,
    pub locks: LockSnapshotLoader,
    /// For cursors that memory knows nothing of.
    pub pool: Pool,
    /// Counts and limits streams.
    pub tickets: Arc<ConnectionLimits>,
    pub metrics: Arc<Metrics>,
    pub dice: Dice,
    /// For the end of tokens.
    pub clock: Clock,
    /// Decides which lines about streams are logged.
    pub lines: Arc<LineLimit<StreamLine>>,
    /// Limits and rhythms.
    pub settings: StreamSettings,
}

impl StreamServices {
    /// Ends the stream at `seat` when the brokerage that was looked up for its user changes.
    #[must_use]
    pub fn watch(
        &self,
        member: Option<Member>,
        broker: &BrokerId,
        subscription: &Subscription,
    ) -> Option<StreamWatch> {
        let at = StreamAt {
            mailbox: Arc::clone(subscription.dispatcher().mailbox()),
            subscription: subscription.id(),
        };
        let brokerages = self.brokerages.as_ref()?;
        Some(brokerages.watch(member?, broker.clone(), at))
    }

    /// Clients that cannot be served now come back spread over this.
    #[must_use]
    pub fn retry_spread(&self) -> Duration {
        self.settings.drain_spread().max(RETRY_USUAL)
    }

    /// When the client of a stream that ends is to come back.
    #[must_use]
    pub fn retry_after_end(&self, dispatcher: &Dispatcher, reason: CloseReason) -> Duration {
        let spread = match (dispatcher.draining(), reason) {
            (Some(spread), _) => spread.max(RETRY_FLOOR),
            // Everybody is told at once, and is not to come back at once.
            (None, CloseReason::Unavailable) => self.retry_spread(),
            (None, _) => RETRY_USUAL,
        };
        self.dice.between(RETRY_FLOOR, spread)
    }
}

/// What a client asks for.
#[derive(Debug)]
pub struct Opening {
    pub request: RequestId,
    pub caller: Caller,
    /// Whose brokerage was looked up, where the token did not say it.
    pub member: Option<Member>,
    /// What they want to see.
    pub scope: Scope,
    /// What of it they do not want.
    pub filter: Filter,
    /// Where they want to start.
    pub since: Since,
    /// How they want their bytes.
    pub encoding: Encoding,
}

/// Why there is no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Asking again will not help.
    Scope(UnknownScope),
    Later(CloseReason),
}

/// Opens a stream for a worker's switchboard.
pub async fn open(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    opening: Opening,
) -> Result<StreamBody, Refusal> {
    let later = |reason| move |()| Refusal::Later(reason);
    if dispatcher.draining().is_some() {
        return Err(Refusal::Later(CloseReason::Drain));
    }
    let Opening {
        request,
        caller,
        member,
        scope,
        mut filter,
        since,
        encoding,
    } = opening;
    let audiences = scope.audiences(&caller).map_err(Refusal::Scope)?;
    let handle = services.log_handle.join(&caller.broker).await.map_err(drop);
    let handle = handle.map_err(later(CloseReason::Unavailable))?;
    // From here on nothing new is missed: the reader is woken by it.
    let reader = Reader::new(dispatcher, handle, audiences);
    let watch = services.watch(member, &caller.broker, reader.subscription());
    let person = (caller.broker.clone(), caller.user.clone());
    let permit = services
        .tickets
        .admit(person, dispatcher.mailbox(), reader.subscription().id());
    let permit = permit
        .map_err(drop)
        .map_err(later(CloseReason::Overloaded))?;
    if let Scope::Record(record) = &scope {
        filter = filter.of_record(record);
    }
    // With a limit of its own: a request that reaches its limit is not answered with a stream.
    let start = start(&services.pool, &reader, &filter, &since);
    let start = limited(Limit::REQUEST, start).await.map_err(|error| {
        tracing::warn!(%error, "a stream could not find its start");
        Refusal::Later(CloseReason::Unavailable)
    })?;
    let unavailable = || Refusal::Later(CloseReason::Unavailable);
    let attendance = services.presence.attend(&caller).await;
    let attendance = attendance.map_err(|_| unavailable())?;
    let view = present::view(&reader, &filter);
    let seen = services.presence.look_and_listen(reader.broker(), &view);
    let (people, heard) = seen.await.map_err(|_| unavailable())?;
    // Asked for after the start was found: what a snapshot does not know yet is told.
    let asks_for_locks = filter.passes_type(LOCKS);
    let locks = asks_for_locks.then(|| services.locks.ask(reader.broker().clone()));
    let services = Arc::clone(services);
    Ok(StreamBody::new(Parts {
        services,
        reader,
        permit,
        caller,
        scope,
        encoding,
        start,
        people: present::snapshot(people, &filter),
        locks,
        heard,
        attendance,
        filter,
        watch,
        account: Account::open(request),
    }))
}
