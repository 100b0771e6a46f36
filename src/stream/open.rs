//! Opening a stream.

use std::rc::Rc;
use std::sync::Arc;

use sqlx::PgPool;

use super::body::Parts;
use super::log::{Account, StreamLine};
use super::resume::start;
use super::scope::UnknownScope;
use super::{Filter, Reader, Scope, Since, StreamBody, present};
use crate::clock::{Clock, Dice};
use crate::config::streams::StreamSettings;
use crate::follower::Porch;
use crate::hub::desk::Desk;
use crate::hub::tickets::TicketOffice;
use crate::hub::{CloseReason, Encoding, Switchboard};
use crate::identity::Caller;
use crate::ids::RequestId;
use crate::locks::desk::{LockDesk, SNAPSHOT as LOCKS};
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::telemetry::LineLimit;

/// What streams need of the service.
pub struct Services {
    /// The way into brokers' logs.
    pub porch: Porch,
    /// Who is here.
    pub presence: Presence,
    /// For what has left memory.
    pub desk: Desk,
    /// For what is held.
    pub locks: LockDesk,
    /// For cursors that memory knows nothing of.
    pub pool: PgPool,
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

/// What a client asks for.
#[derive(Debug)]
pub struct Opening {
    /// The request that asks.
    pub request: RequestId,
    /// Who asks.
    pub caller: Caller,
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
    let start = start(&services.pool, &reader, &filter, &since)
        .await
        .map_err(|error| {
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
        account: Account::open(request),
    }))
}
