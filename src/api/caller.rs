//! The caller as an argument of handlers. A handler without one is visibly public.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture, Map};

use super::cookie::cookie;
use super::problem::{Code, Problem};
use super::query::single_header;
use super::routes;
use super::sessions::check_ticket_of;
use super::{Context, Services};
use crate::directory::{Brokerages, LookupError, Member};
use crate::identity::{Caller, Identified, Role, TokenError};
use crate::platform::{BrokerId, database};
use crate::sessions::TicketUse;
use crate::stream::UnknownScope;

/// The parameter for clients that cannot set headers.
pub(super) const TOKEN_PARAMETER: &str = "access_token";
/// The parameter with a ticket, for streams only.
const TICKET_PARAMETER: &str = "ticket";

impl FromRequest for Caller {
    type Error = Problem;
    /// Ready at once, unless the brokerage of the caller must be looked up.
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        match identify(request).and_then(VerifiedRequest::find_brokerage) {
            Ok(Found::Caller(caller)) => Either::Left(ready(Ok(caller))),
            Ok(Found::Lookup(lookup)) => Either::Right(Box::pin(lookup.caller())),
            Err(problem) => Either::Left(ready(Err(limit_refusals(request, problem)))),
        }
    }
}

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
        let Some(ticket) = ticket(request) else {
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

/// The ticket of a request without a token.
fn ticket(request: &HttpRequest) -> Option<String> {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let mut pairs = super::query::pairs(request.query_string());
    let (_, ticket) = pairs.find(|(name, _)| name == TICKET_PARAMETER)?;
    Some(ticket.into_owned())
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
    // Each unknown ticket costs a query, and needs no token.
    let may_look_up = !services.rate_limits.is_exhausted(request);
    let found = services.sessions.use_ticket(&used, may_look_up).await?;
    if found.looked_up {
        let member = Member {
            user: found.caller.user.clone(),
            team: found.first_team,
        };
        check_ticket_of(&member, &found.caller.broker, services).await?;
        request.extensions_mut().insert(member);
    }
    admit(request, services, found.caller)
}

/// A caller whose request is not one too many.
fn admit(request: &HttpRequest, services: &Services, caller: Caller) -> Result<Caller, Problem> {
    database::count_for(&caller.broker, &caller.user);
    let taken = services.rate_limits.take(&caller, routes::cost(request));
    let mut extensions = request.extensions_mut();
    // The head of the answer tells how much is left.
    extensions.insert(taken.unwrap_or_else(|state| state));
    // The log line of this request names the user.
    extensions.insert(caller.clone());
    taken.map_or_else(|state| Err(state.problem()), |_| Ok(caller))
}

/// Where the client of a request is, if that is known.
pub(super) struct Client(pub(super) Option<IpAddr>);

impl FromRequest for Client {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = Context::of(request);
        ready(context.map(|context| Self(context.services.rate_limits.client(request))))
    }
}

/// A caller that may publish events.
pub(super) struct Publisher(pub(super) Caller);

/// A caller that carries out tasks.
pub(super) struct TaskWorker(pub(super) Caller);

/// A caller that may revoke tokens.
pub(super) struct Revoker(pub(super) Caller);

/// A caller that administers a brokerage.
pub(super) struct Administrator(pub(super) Caller);

/// A caller that creates tasks.
pub(super) struct TaskCreator(pub(super) Caller);

/// The future of a caller that is checked further.
type CheckedCaller<T> = Map<<Caller as FromRequest>::Future, CallerCheck<T>>;
type CallerCheck<T> = fn(Result<Caller, Problem>) -> Result<T, Problem>;

impl FromRequest for Publisher {
    type Error = Problem;
    type Future = CheckedCaller<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let check: CallerCheck<Self> = |caller| {
            let caller = caller?;
            let refusal = "Publishing needs a token with the role service.";
            caller
                .may_publish()
                .then_some(Self(caller))
                .ok_or_else(|| role_needed(refusal))
        };
        Caller::from_request(request, payload).map(check)
    }
}

impl FromRequest for TaskWorker {
    type Error = Problem;
    type Future = CheckedCaller<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let check: CallerCheck<Self> = |caller| {
            let caller = caller?;
            caller
                .may_work()
                .then_some(Self(caller))
                .ok_or_else(|| UnknownScope::NoWorker.into())
        };
        Caller::from_request(request, payload).map(check)
    }
}

impl FromRequest for Revoker {
    type Error = Problem;
    type Future = CheckedCaller<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let check: CallerCheck<Self> = |caller| {
            let caller = caller?;
            let refusal = "Revoking tokens needs a token with the role admin or service.";
            matches!(caller.role, Role::Admin | Role::Service)
                .then_some(Self(caller))
                .ok_or_else(|| role_needed(refusal))
        };
        Caller::from_request(request, payload).map(check)
    }
}

impl FromRequest for Administrator {
    type Error = Problem;
    type Future = CheckedCaller<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let check: CallerCheck<Self> = |caller| {
            let caller = caller?;
            let refusal = "This needs a token with the role admin.";
            caller
                .may_administer()
                .then_some(Self(caller))
                .ok_or_else(|| role_needed(refusal))
        };
        Caller::from_request(request, payload).map(check)
    }
}

impl FromRequest for TaskCreator {
    type Error = Problem;
    type Future = CheckedCaller<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let check: CallerCheck<Self> = |caller| {
            let caller = caller?;
            let refusal = "Workers carry out tasks; others create them.";
            (caller.role != Role::Worker)
                .then_some(Self(caller))
                .ok_or_else(|| role_needed(refusal))
        };
        Caller::from_request(request, payload).map(check)
    }
}

fn role_needed(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, Code::RoleNeeded, detail)
}

/// A request with a valid token.
struct VerifiedRequest {
    request: HttpRequest,
    context: Context,
    identified: Identified,
}

/// A caller, or the lookup of their brokerage.
enum Found {
    Caller(Caller),
    Lookup(BrokerageLookup),
}

/// A query for the brokerage of a user whose token does not name it.
struct BrokerageLookup {
    request: VerifiedRequest,
    brokerages: Brokerages,
    member: Member,
}

/// Requests without a valid token are limited by address.
fn limit_refusals(request: &HttpRequest, problem: Problem) -> Problem {
    let context = request.app_data::<Context>();
    let is_refused = problem.status_code() == StatusCode::UNAUTHORIZED;
    match context.filter(|_| is_refused) {
        Some(context) => match context.services.rate_limits.take_refused(request) {
            Ok(_) => problem,
            Err(state) => {
                request.extensions_mut().insert(state);
                state.problem()
            }
        },
        None => problem,
    }
}

fn identify(request: &HttpRequest) -> Result<VerifiedRequest, Problem> {
    let missing = || {
        let detail = "A token is needed: as Authorization: Bearer …, as the access_token parameter \
                      or as a cookie.";
        Problem::new(StatusCode::UNAUTHORIZED, Code::TokenMissing, detail)
    };
    let context = request.app_data::<Context>().ok_or_else(missing)?;
    let token = token(request, &context.services)?.ok_or_else(missing)?;
    Ok(VerifiedRequest {
        identified: context.services.verifier.identify(&token)?,
        request: request.clone(),
        context: context.clone(),
    })
}

impl VerifiedRequest {
    fn find_brokerage(self) -> Result<Found, Problem> {
        if let Some(broker) = self.identified.bearer.broker.clone() {
            return self.caller(broker).map(Found::Caller);
        }
        let brokerages = self.context.services.brokerages.clone();
        let brokerages = brokerages.ok_or(TokenError::ClaimMissing("broker_id"))?;
        let bearer = &self.identified.bearer;
        let member = Member {
            user: bearer.user.clone(),
            team: bearer.teams.first().cloned(),
        };
        let known = brokerages.cached(&member);
        // A stream ends when the brokerage of this member changes.
        self.request.extensions_mut().insert(member.clone());
        match known {
            Some(answer) => self.caller(answer.broker()?).map(Found::Caller),
            None => Ok(Found::Lookup(BrokerageLookup {
                request: self,
                brokerages,
                member,
            })),
        }
    }

    /// The caller, unless the token was revoked.
    fn caller(self, broker: BrokerId) -> Result<Caller, Problem> {
        let Identified { bearer, is_new } = self.identified;
        let services = &self.context.services;
        if !self.request.method().is_safe() && services.sessions.is_unavailable() {
            let detail = "It is not known which tokens were revoked. Try again.";
            return Err(Problem::unavailable(Code::DatabaseUnavailable, detail));
        }
        if is_new {
            services.verifier.send_profile(&bearer, &broker);
        }
        let caller = services.verifier.caller(bearer, broker)?;
        if is_new {
            services.sessions.saw(&caller);
        }
        admit(&self.request, services, caller)
    }
}

impl BrokerageLookup {
    async fn caller(mut self) -> Result<Caller, Problem> {
        let broker = self.brokerages.find(&self.member).await?;
        // The user may be new at this brokerage although the token is known.
        self.request.identified.is_new = true;
        self.request.caller(broker)
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Unknown => {
                let status = StatusCode::UNAUTHORIZED;
                Self::new(status, Code::BrokerUnknown, error.to_string()).at("broker_id")
            }
            LookupError::Unavailable => {
                Self::unavailable(Code::DatabaseUnavailable, error.to_string())
            }
        }
    }
}

/// The token in the header `Authorization`, if that is there once.
pub(super) fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let value = single_header(request.headers(), header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of a request: from the header, or else the parameter, or else the cookie.
fn token(request: &HttpRequest, services: &Services) -> Result<Option<String>, Problem> {
    let refused =
        |code, detail, field| Err(Problem::new(StatusCode::UNAUTHORIZED, code, detail).at(field));
    if request.headers().contains_key(header::AUTHORIZATION) {
        return if let Some(token) = bearer_token(request) {
            Ok(Some(token.to_owned()))
        } else {
            let detail =
                "The Authorization header must be there once: Bearer, a space, and the token.";
            refused(Code::TokenMalformed, detail, "Authorization")
        };
    }
    let mut parameters = super::query::pairs(request.query_string())
        .filter(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, token)| token.into_owned());
    let parameter = parameters.next();
    if parameters.next().is_some() {
        let detail = "access_token is given twice.";
        return refused(Code::TokenMalformed, detail, TOKEN_PARAMETER);
    }
    if parameter.is_some() && !services.token_in_query {
        let detail = "The parameter access_token is switched off here: send the token as Authorization: \
                      Bearer …, or open streams with a ticket from POST /sessions/ticket.";
        return refused(Code::TokenMissing, detail, TOKEN_PARAMETER);
    }
    if parameter.is_some() {
        return Ok(parameter);
    }
    let Ok(cookie) = cookie(request, &services.token_cookie) else {
        let detail = "The cookie of the token is there twice.";
        return refused(Code::TokenMalformed, detail, "Cookie");
    };
    // What is not UTF-8 is no token either way.
    Ok(cookie.map(|value| String::from_utf8_lossy(value).into_owned()))
}
