//! Opens a stream.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::log::{PassingRefusal, StreamLine, StreamSummary};
use super::log_stream::StreamParts;
use super::resume::{StreamStart, start};
use super::scope::UnknownScope;
use super::wire::{RETRY_FLOOR, RETRY_USUAL};
use super::{Filter, HeartbeatInterval, LogStream, Scope, Since, StreamPace, presence};
use crate::collab::{LOCK_SNAPSHOT_TYPE, LockSnapshotAnswer, LockSnapshotLoader};
use crate::collab::{Presence, PresenceError, PresenceGuard};
use crate::directory::{Brokerages, LookupError, Member, StreamAddress, StreamWatch};
use crate::fanout::{
    CloseReason, ConnectionLimits, Dispatcher, LogHandle, Reader, ReplayLoader, StreamEncoding,
    Subscription,
};
use crate::identity::Caller;
use crate::platform::ArrivalRush;
use crate::platform::Figures;
use crate::platform::LineLimit;
use crate::platform::Metrics;
use crate::platform::database::limited;
use crate::platform::{BrokerId, RequestId};
use crate::platform::{Clock, Dice};
use crate::platform::{Limit, Pool};
use crate::sessions::{NewSession, SessionKind, Sessions};
use crate::stream::StreamSettings;

/// The client of a stream that gave way to a newer one, or that an admin ended, comes back within this time.
const EVICTED_RETRY: Duration = Duration::from_mins(4);

/// The parts of the service that streams use.
pub struct StreamServices {
    pub log_handle: LogHandle,
    /// Looks up the callers' brokerages, if the service is configured to.
    pub brokerages: Option<Brokerages>,
    pub presence: Presence,
    pub sessions: Sessions,
    pub replay_loader: ReplayLoader,
    pub locks: LockSnapshotLoader,
    /// For cursors that are not in memory.
    pub pool: Pool,
    /// The connections of the background tasks, which streams depend on.
    pub core: Pool,
    pub connection_limits: Arc<ConnectionLimits>,
    pub metrics: Arc<Metrics>,
    pub figures: Figures,
    pub dice: Dice,
    /// Tells whether many clients arrive at the moment.
    pub rush: ArrivalRush,
    /// For the expiry of tokens.
    pub clock: Clock,
    /// Limits the log lines about streams.
    pub line_limit: Arc<LineLimit<StreamLine>>,
    pub settings: StreamSettings,
}

impl StreamServices {
    /// Whether new streams could not be served: revocations cannot be read, or the background tasks get no connections to
    /// the database.
    #[must_use]
    pub fn are_unavailable(&self) -> bool {
        self.sessions.is_unavailable() || self.core.is_short()
    }

    /// Ends the stream, or the wait of a request, when the user's brokerage changes, if it was looked up.
    #[must_use]
    pub fn watch(
        &self,
        member: Option<Member>,
        broker: &BrokerId,
        subscription: &Subscription,
    ) -> Option<StreamWatch> {
        let at = StreamAddress {
            mailbox: Arc::clone(subscription.dispatcher().mailbox()),
            subscription: subscription.id(),
        };
        let brokerages = self.brokerages.as_ref()?;
        Some(brokerages.watch(member?, broker.clone(), at))
    }

    /// The brokerage of a caller now, if it was looked up and has changed. The answer is cached.
    pub async fn moved_to(
        &self,
        member: Option<&Member>,
        broker: &BrokerId,
    ) -> Result<Option<BrokerId>, LookupError> {
        let (Some(brokerages), Some(member)) = (&self.brokerages, member) else {
            return Ok(None);
        };
        let now = brokerages.find(member).await?;
        Ok(Some(now).filter(|now| now != broker))
    }

    /// When the stream of a token is to be warned of its end.
    #[must_use]
    pub fn expiring_at(&self, now: Instant, expires_at: Instant) -> Option<Instant> {
        let left = expires_at.saturating_duration_since(now);
        expires_at.checked_sub(self.settings.expiring_notice().min(left / 2))
    }

    /// Clients that cannot be served now come back spread over this window.
    #[must_use]
    pub fn retry_spread(&self) -> Duration {
        self.settings.drain_spread().max(RETRY_USUAL)
    }

    /// When the client of a stream that ends is to come back.
    #[must_use]
    pub fn retry_after_end(&self, dispatcher: &Dispatcher, reason: CloseReason) -> Duration {
        let spread = match (dispatcher.draining(), reason) {
            (Some(spread), _) => spread.max(RETRY_FLOOR),
            // All streams end at once, and their clients must not come back at once.
            (None, CloseReason::Unavailable) => self.retry_spread(),
            // Tabs that take each other's places must not do so all the time, and an admin must see an effect.
            (None, CloseReason::Evicted | CloseReason::Disconnected) => {
                return self.dice.between(EVICTED_RETRY / 2, EVICTED_RETRY);
            }
            (None, _) => RETRY_USUAL,
        };
        self.dice.between(RETRY_FLOOR, spread)
    }
}

#[derive(Debug)]
pub struct StreamRequest {
    pub request: RequestId,
    pub caller: Caller,
    /// The user whose brokerage was looked up, because the token has none.
    pub member: Option<Member>,
    pub scope: Scope,
    pub filter: Filter,
    pub since: Since,
    pub encoding: StreamEncoding,
    pub pace: StreamPace,
    pub heartbeat: HeartbeatInterval,
    /// Where the client is.
    pub client: Option<IpAddr>,
}

/// Why a stream was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamRefusal {
    /// Another try will fail too.
    Scope(UnknownScope),
    /// The client may try again later.
    Later(PassingRefusal),
}

impl From<PassingRefusal> for StreamRefusal {
    fn from(refusal: PassingRefusal) -> Self {
        Self::Later(refusal)
    }
}

impl From<CloseReason> for StreamRefusal {
    fn from(reason: CloseReason) -> Self {
        Self::Later(reason.into())
    }
}

/// Refuses all streams while the service stops, or could not serve them.
fn refuse_if_closed(
    services: &StreamServices,
    dispatcher: &Dispatcher,
) -> Result<(), StreamRefusal> {
    if dispatcher.draining().is_some() {
        return Err(CloseReason::Drain.into());
    }
    if services.are_unavailable() {
        return Err(CloseReason::Unavailable.into());
    }
    Ok(())
}

/// Opens a stream on a worker thread.
pub async fn open(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    request: StreamRequest,
) -> Result<LogStream, StreamRefusal> {
    let later = |reason: CloseReason| move |()| StreamRefusal::from(reason);
    refuse_if_closed(services, dispatcher)?;
    let StreamRequest {
        request,
        caller,
        member,
        scope,
        mut filter,
        since,
        encoding,
        pace,
        heartbeat,
        client,
    } = request;
    let audiences = scope.audiences(&caller).map_err(StreamRefusal::Scope)?;
    let handle = services.log_handle.join(&caller.broker).await.map_err(drop);
    let handle = handle.map_err(later(CloseReason::Unavailable))?;
    // From here on the reader is woken by new events, so that none is missed.
    let reader = Reader::new(dispatcher, handle, audiences);
    let watch = services.watch(member, &caller.broker, reader.subscription());
    let permit = services.connection_limits.admit().map_err(drop);
    let permit = permit.map_err(later(CloseReason::Overloaded))?;
    let summary = StreamSummary::open(request);
    let new = NewSession {
        caller: &caller,
        kind: SessionKind::Stream(summary.stream),
        client,
        scope: scope.name(),
    };
    let session = services.sessions.opened(new, reader.subscription());
    let session = session.map_err(PassingRefusal::from)?;
    if let Scope::Record(record) = &scope {
        filter = filter.of_record(record);
    }
    // This has its own limit, so that a refusal comes before the limit of the request.
    let start = start(&services.pool, &reader, &filter, &since);
    let start = limited(Limit::REQUEST, start).await.map_err(|error| {
        tracing::warn!(%error, "the start of a stream could not be read");
        StreamRefusal::from(CloseReason::Unavailable)
    })?;
    let view = FirstView {
        caller: &caller,
        reader: &reader,
        filter: &filter,
        start: &start,
    };
    let state = view.state(services).await.map_err(drop);
    let state = state.map_err(later(CloseReason::Unavailable))?;
    Ok(LogStream::new(StreamParts {
        services: Arc::clone(services),
        reader,
        permit,
        session,
        caller,
        scope,
        encoding,
        pace,
        heartbeat,
        start,
        state,
        filter,
        watch,
        // It waits for the locks from here on.
        summary: summary.opened(),
    }))
}

/// The state of its brokerage that a stream shows first.
pub struct FirstState {
    /// Keeps the user present.
    pub attendance: PresenceGuard,
    /// The data of the snapshot of presence, unless the filter leaves it out.
    pub presence: Option<String>,
    /// The first ephemeral event after the snapshot. `None`: there is no state yet, because many clients arrive.
    pub next_ephemeral: Option<u64>,
    /// The snapshot of locks, unless the filter leaves it out.
    pub locks: Option<LockSnapshotAnswer>,
}

/// What decides about the first state.
struct FirstView<'a> {
    caller: &'a Caller,
    reader: &'a Reader,
    filter: &'a Filter,
    start: &'a StreamStart,
}

impl FirstView<'_> {
    async fn state(&self, services: &StreamServices) -> Result<FirstState, PresenceError> {
        // A client that missed events gets them at once.
        if services.rush.arrive() && self.is_at_head() {
            return self.later(services).await;
        }
        let attendance = services.presence.stream_opened(self.caller).await?;
        let view = presence::view(self.reader, self.filter);
        let snapshot = services.presence.snapshot(self.reader.broker(), &view);
        let snapshot = snapshot.await?;
        // The snapshot is requested after the start is known. Changes after the snapshot are events.
        let asks_for_locks = self.filter.passes_type(LOCK_SNAPSHOT_TYPE);
        let at = self.start.epoch.at(self.start.position);
        let locks = asks_for_locks.then(|| services.locks.load(self.reader.broker(), &at));
        Ok(FirstState {
            attendance,
            presence: presence::snapshot(&snapshot.people, self.filter),
            next_ephemeral: Some(snapshot.next),
            locks,
        })
    }

    fn is_at_head(&self) -> bool {
        self.start.reset.is_none() && self.start.position >= self.reader.log_head().1
    }

    async fn later(&self, services: &StreamServices) -> Result<FirstState, PresenceError> {
        let attendance = services.presence.stream_arrived(self.caller).await?;
        self.reader.subscription().wait_for_others();
        Ok(FirstState {
            attendance,
            presence: None,
            next_ephemeral: None,
            locks: None,
        })
    }
}
