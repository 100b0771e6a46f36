//! Who is calling, as an argument: a handler without a [`Caller`] is visibly public.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::Service;
use super::problem::Problem;
use crate::identity::Caller;

/// The parameter for clients that cannot set headers.
pub const TOKEN_PARAMETER: &str = "access_token";

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request))
    }
}

fn caller(request: &HttpRequest) -> Result<Caller, Problem> {
    let missing = || {
        let detail = "A token is needed: as Authorization: Bearer …, as the access_token parameter \
                      or as a cookie.";
        Problem::new(StatusCode::UNAUTHORIZED, "token_missing", detail)
    };
    let service = request.app_data::<Service>().ok_or_else(missing)?;
    let token = token(request, &service.app.token_cookie)?.ok_or_else(missing)?;
    let caller = service.app.verifier.verify(&token)?;
    // For the log line of this request.
    request.extensions_mut().insert(caller.clone());
    Ok(caller)
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
            Err(Problem::new(status, "token_malformed", detail).at("Authorization"))
        };
    }
    let parameter = super::query::pairs(request.query_string())
        .find(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, token)| token.into_owned());
    Ok(parameter.or_else(|| Some(request.cookie(cookie)?.value().to_owned())))
}
