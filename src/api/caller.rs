//! Who is calling, as an argument: a handler without a [`Caller`] is visibly public.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};

use super::Context;
use super::problem::{Code, Problem};
use crate::directory::{Brokerages, LookupError, Member};
use crate::identity::{Caller, Identified, TokenError};
use crate::platform::BrokerId;

/// The parameter for clients that cannot set headers.
pub const TOKEN_PARAMETER: &str = "access_token";

impl FromRequest for Caller {
    type Error = Problem;
    /// At once, unless the caller's brokerage must be looked up.
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        match identify(request).and_then(Arrival::place) {
            Ok(Placed::Here(caller)) => Either::Left(ready(Ok(caller))),
            Ok(Placed::Unknown(lookup)) => Either::Right(Box::pin(lookup.caller())),
            Err(problem) => Either::Left(ready(Err(problem))),
        }
    }
}

/// A request whose token counts.
struct Arrival {
    request: HttpRequest,
    context: Context,
    identified: Identified,
}

/// A request whose caller's brokerage is known, or is to be looked up.
enum Placed {
    Here(Caller),
    Unknown(Lookup),
}

/// A brokerage that is to be looked up.
struct Lookup {
    arrival: Arrival,
    brokerages: Brokerages,
    member: Member,
}

fn identify(request: &HttpRequest) -> Result<Arrival, Problem> {
    let missing = || {
        let detail = "A token is needed: as Authorization: Bearer …, as the access_token parameter \
                      or as a cookie.";
        Problem::new(StatusCode::UNAUTHORIZED, Code::TokenMissing, detail)
    };
    let context = request.app_data::<Context>().ok_or_else(missing)?;
    let token = token(request, &context.services.token_cookie)?.ok_or_else(missing)?;
    Ok(Arrival {
        identified: context.services.verifier.identify(&token)?,
        request: request.clone(),
        context: context.clone(),
    })
}

impl Arrival {
    fn place(self) -> Result<Placed, Problem> {
        if let Some(broker) = self.identified.bearer.broker.clone() {
            return Ok(Placed::Here(self.caller(broker)));
        }
        let brokerages = self.context.services.brokerages.clone();
        let brokerages = brokerages.ok_or(TokenError::ClaimMissing("broker_id"))?;
        let bearer = &self.identified.bearer;
        let member = Member {
            user: bearer.user.clone(),
            team: bearer.teams.first().cloned(),
        };
        let known = brokerages.known(&member);
        // For streams, which end when it changes.
        self.request.extensions_mut().insert(member.clone());
        match known {
            Some(answer) => Ok(Placed::Here(self.caller(answer.broker()?))),
            None => Ok(Placed::Unknown(Lookup {
                arrival: self,
                brokerages,
                member,
            })),
        }
    }

    fn caller(self, broker: BrokerId) -> Caller {
        let Identified { bearer, is_new } = self.identified;
        if is_new {
            self.context.services.verifier.present(&bearer, &broker);
        }
        let caller = bearer.caller(broker);
        // For the log line of this request.
        self.request.extensions_mut().insert(caller.clone());
        caller
    }
}

impl Lookup {
    async fn caller(mut self) -> Result<Caller, Problem> {
        let broker = self.brokerages.find(&self.member).await?;
        // They may be new at this brokerage, also with a token that is known.
        self.arrival.identified.is_new = true;
        Ok(self.arrival.caller(broker))
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

/// The token of a request: header before parameter before cookie.
fn token(request: &HttpRequest, cookie: &str) -> Result<Option<String>, Problem> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let is_bearer = |(scheme, _): &(&str, &str)| scheme.eq_ignore_ascii_case("bearer");
        return if let Some((_, token)) = bearer.filter(is_bearer) {
            Ok(Some(token.trim().to_owned()))
        } else {
            let detail = "The Authorization header must be: Bearer, a space, and the token.";
            let status = StatusCode::UNAUTHORIZED;
            Err(Problem::new(status, Code::TokenMalformed, detail).at("Authorization"))
        };
    }
    let parameter = super::query::pairs(request.query_string())
        .find(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, token)| token.into_owned());
    Ok(parameter.or_else(|| Some(request.cookie(cookie)?.value().to_owned())))
}
