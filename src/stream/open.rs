//! Opens a stream.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::first_state::FirstView;
use super::log::{PassingRefusal, StreamSummary};
use super::log_stream::{StreamEntry, StreamParts};
use super::resume::{StreamStart, start};
use super::scope::UnknownScope;
use super::{Filter, HeartbeatInterval, LogStream, Scope, Since, StreamPace, StreamServices};
use crate::directory::Member;
use crate::fanout::{CloseReason, Dispatcher, Reader, StreamEncoding};
use crate::identity::Caller;
use crate::platform::database::limited;
use crate::platform::{Limit, RequestId};
use crate::sessions::{NewSession, SessionKind};

#[derive(Debug)]
pub struct StreamRequest {
    pub caller: Caller,
    /// The user whose brokerage was looked up, because the token has none.
    pub member: Option<Member>,
    /// Where the client is.
    pub client: Option<IpAddr>,
    pub parameters: StreamParameters,
}

/// What the client wants to get, and how.
#[derive(Debug)]
pub struct StreamParameters {
    pub scope: Scope,
    pub filter: Filter,
    pub since: Since,
    pub encoding: StreamEncoding,
    pub pace: StreamPace,
    pub heartbeat: HeartbeatInterval,
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

/// Opens a stream on a worker thread. `id` is of the request.
pub async fn open(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    id: RequestId,
    mut request: StreamRequest,
) -> Result<LogStream, StreamRefusal> {
    let unavailable = |_| StreamRefusal::from(CloseReason::Unavailable);
    refuse_if_closed(services, dispatcher)?;
    let entry = enter(services, dispatcher, id, &mut request).await?;
    let parameters = &mut request.parameters;
    if let Scope::Record(record) = &parameters.scope {
        parameters.filter.limit_to(record);
    }
    let start = find_start(services, &entry.reader, parameters).await?;
    let view = FirstView {
        caller: &request.caller,
        reader: &entry.reader,
        filter: &parameters.filter,
        start: &start,
    };
    let state = view.state(services).await.map_err(unavailable)?;
    Ok(LogStream::new(StreamParts {
        services: Arc::clone(services),
        request,
        entry: entry.opened(),
        start,
        state,
    }))
}

/// Takes the stream's place among all streams. From here on it can be ended.
async fn enter(
    services: &StreamServices,
    dispatcher: &Rc<Dispatcher>,
    id: RequestId,
    request: &mut StreamRequest,
) -> Result<StreamEntry, StreamRefusal> {
    let caller = &request.caller;
    let audiences = request.parameters.scope.audiences(caller);
    let audiences = audiences.map_err(StreamRefusal::Scope)?;
    let handle = services.log_handle.join(&caller.broker).await;
    let handle = handle.map_err(|_| CloseReason::Unavailable)?;
    // From here on the reader is woken by new events, so that none is missed.
    let reader = Reader::new(dispatcher, handle, audiences);
    let watch = services.watch(request.member.take(), &caller.broker, reader.subscription());
    let permit = services.connection_limits.admit();
    let permit = permit.map_err(|_| CloseReason::Overloaded)?;
    let summary = StreamSummary::open(id);
    let new = NewSession {
        caller,
        kind: SessionKind::Stream(summary.stream),
        client: request.client,
        scope: request.parameters.scope.name(),
    };
    let session = services.sessions.opened(new, reader.subscription());
    Ok(StreamEntry {
        reader,
        watch,
        permit,
        session: session.map_err(PassingRefusal::from)?,
        summary,
    })
}

/// This has its own limit, so that a refusal comes before the limit of the request.
async fn find_start(
    services: &StreamServices,
    reader: &Reader,
    parameters: &StreamParameters,
) -> Result<StreamStart, StreamRefusal> {
    let start = start(
        &services.pool,
        reader,
        &parameters.filter,
        &parameters.since,
    );
    limited(Limit::REQUEST, start).await.map_err(|error| {
        tracing::warn!(%error, "the start of a stream could not be read");
        CloseReason::Unavailable.into()
    })
}
