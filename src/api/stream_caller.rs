//! The caller who opens a stream.

use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture, Map};

use super::Context;
use super::caller::{admit, limit_refusals};
use super::problem::Problem;
use super::sessions::check_ticket_of;
use super::token;
use crate::directory::Member;
use crate::identity::Caller;
use crate::sessions::TicketUse;

/// A caller who opens a stream, with a token or a ticket, or the reason why there is none. A stream that
/// may be opened later answers that with status 200, so its handler needs the reason.
pub(super) struct StreamCaller(pub(super) Result<Caller, Problem>);

type StreamCallerResult = Result<StreamCaller, Infallible>;

impl FromRequest for StreamCaller {
    type Error = Infallible;
    /// Ready at once for a token, unless the brokerage of the caller must be looked up.
    type Future = Either<
        Map<<Caller as FromRequest>::Future, fn(Result<Caller, Problem>) -> StreamCallerResult>,
        LocalBoxFuture<'static, StreamCallerResult>,
    >;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Some(ticket) = token::ticket(request) else {
            let caller = Caller::from_request(request, payload);
            return Either::Left(caller.map(|caller| Ok(Self(caller))));
        };
        let request = request.clone();
        let caller = async move {
            let found = ticket_caller(&request, &ticket).await;
            Ok(Self(
                found.map_err(|problem| limit_refusals(&request, problem)),
            ))
        };
        Either::Right(Box::pin(caller))
    }
}

async fn ticket_caller(request: &HttpRequest, ticket: &str) -> Result<Caller, Problem> {
    let text = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok().map(ToOwned::to_owned))
    };
    let used = TicketUse {
        ticket: ticket.to_owned(),
        origin: text(header::ORIGIN),
        host: text(header::HOST),
    };
    let services = &Context::of(request)?.services;
    let (callers, rates) = (&services.callers, &services.limits.rates);
    // Each unknown ticket costs a query, and needs no token.
    let may_look_up = !rates.is_exhausted(request);
    let found = callers.sessions.use_ticket(&used, may_look_up).await?;
    if found.looked_up {
        let member = Member {
            user: found.caller.user.clone(),
            team: found.first_team,
        };
        let brokerages = callers.brokerages.as_ref();
        check_ticket_of(&member, &found.caller.broker, brokerages).await?;
        request.extensions_mut().insert(member);
    }
    admit(request, rates, found.caller)
}
