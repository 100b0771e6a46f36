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
use crate::brokerages::{Brokerages, Member, StreamAt, StreamWatch};
use crate::clock::{Clock, Dice};
use crate::config::streams::StreamSettings;
use crate::database::{Limit, Pool, limited};
use crate::follower::Porch;
use crate::hub::desk::Desk;
use crate::hub::tickets::TicketOffice;
use crate::hub::{CloseReason, Encoding, Seat, Switchboard};
use crate::identity::Caller;
use crate::ids::{BrokerId, RequestId};
use crate::locks::desk::{LockDesk, SNAPSHOT as LOCKS};
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::telemetry::LineLimit;

/// What streams need of the service.
pub struct Services {
    /// The way into brokers' logs.
    pub porch: Porch,
    /// Where callers belong, if that is looked up.
    pub brokerages: Option<Brokerages>,
    /// Who is here.
    pub presence: Presence,
    /// For what has left memory.
    pub desk: Desk,
    /// For what is held.
    pub locks: LockDesk,
    /// For cursors that memory knows nothing of.
    pub pool: Pool,
    /// Counts and limits streams.
    pub tickets: Arc<TicketOffice>,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// For jitter.
    pub dice: Dice,
    /// For the end of tokens.
    pub clock: Clock,
    /// Decides which lines about streams are logged.
    pub lines: Arc<LineLimit<StreamLine>>,
    /// Limits and rhythms.
    pub settings: StreamSettings,
}

impl Services {
    /// Ends the stream at `seat` when the brokerage that was looked up for its user changes.
    #[must_use]
    pub fn watch(
        &self,
        member: Option<Member>,
        broker: &BrokerId,
        seat: &Seat,
    ) -> Option<StreamWatch> {
        let at = StreamAt {
            mailbox: Arc::clone(seat.board().mailbox()),
            seat: seat.id(),
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
    pub fn retry_after_end(&self, board: &Switchboard, reason: CloseReason) -> Duration {
        let spread = match (board.draining(), reason) {
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
    /// The request that asks.
    pub request: RequestId,
    /// Who asks.
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
    /// Asking again later will.
    Later(CloseReason),
}

/// Opens a stream for a worker's switchboard.
pub async fn open(
    services: &Arc<Services>,
    board: &Rc<Switchboard>,
    opening: Opening,
) -> Result<StreamBody, Refusal> {
    let later = |reason| move |()| Refusal::Later(reason);
    if board.draining().is_some() {
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
    let guest = services.porch.join(&caller.broker).await.map_err(drop);
    let guest = guest.map_err(later(CloseReason::Unavailable))?;
    // From here on nothing new is missed: the reader is woken by it.
    let reader = Reader::new(board, guest, audiences);
    let watch = services.watch(member, &caller.broker, reader.seat());
    let person = (caller.broker.clone(), caller.user.clone());
    let ticket = services
        .tickets
        .admit(person, board.mailbox(), reader.seat().id());
    let ticket = ticket
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
        ticket,
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
