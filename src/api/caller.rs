//! The caller as an argument of handlers. A handler without one is visibly public.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use futures_util::future::{Either, LocalBoxFuture};

use super::Context;
use super::problem::{Code, Problem};
use super::rate_limits::RateLimits;
use super::routes;
use crate::directory::{Brokerages, LookupError, Member};
use crate::identity::{Caller, Identified, TokenError};
use crate::platform::{BrokerId, database};

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

/// A caller whose request is not one too many.
pub(super) fn admit(
    request: &HttpRequest,
    rate_limits: &RateLimits,
    caller: Caller,
) -> Result<Caller, Problem> {
    database::count_for(&caller.broker, &caller.user);
    let taken = rate_limits.take(&caller, routes::cost(request));
    let mut extensions = request.extensions_mut();
    // The head of the answer tells how much is left.
    extensions.insert(taken.unwrap_or_else(|state| state));
    // The log line of this request names the user.
    extensions.insert(caller.clone());
    taken.map_or_else(|state| Err(state.problem()), |_| Ok(caller))
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
pub(super) fn limit_refusals(request: &HttpRequest, problem: Problem) -> Problem {
    let context = request.app_data::<Context>();
    let is_refused = problem.status_code() == StatusCode::UNAUTHORIZED;
    match context.filter(|_| is_refused) {
        Some(context) => match context.services.limits.rates.take_refused(request) {
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
    let context = Context::of(request)?;
    let callers = &context.services.callers;
    let token = callers.token_places.token(request)?;
    Ok(VerifiedRequest {
        identified: callers.verifier.identify(&token)?,
        request: request.clone(),
        context: context.clone(),
    })
}

impl VerifiedRequest {
    fn find_brokerage(self) -> Result<Found, Problem> {
        if let Some(broker) = self.identified.bearer.broker.clone() {
            return self.caller(broker).map(Found::Caller);
        }
        let brokerages = self.context.services.callers.brokerages.clone();
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
        let (verifier, sessions) = (&services.callers.verifier, &services.callers.sessions);
        if !self.request.method().is_safe() && sessions.is_unavailable() {
            let detail = "It is not known which tokens were revoked. Try again.";
            return Err(Problem::unavailable(Code::DatabaseUnavailable, detail));
        }
        if is_new {
            verifier.send_profile(&bearer, &broker);
        }
        let caller = verifier.caller(bearer, broker)?;
        if is_new {
            sessions.saw(&caller);
        }
        admit(&self.request, &services.limits.rates, caller)
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
