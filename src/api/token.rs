//! Where a request carries its token: in a header, a parameter or a cookie. The address of a stream may have a ticket.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::{StatusCode, header};

use super::cookie::cookie;
use super::problem::{Code, Problem};
use super::query::{TOKEN_PARAMETER, pairs, single_header};

/// The parameter with a ticket, for streams only.
const TICKET_PARAMETER: &str = "ticket";

/// Where a token may be, beside the header `Authorization`.
#[derive(Clone, Debug)]
pub struct TokenPlaces {
    /// The name of the cookie that may carry it.
    pub cookie: String,
    /// Whether the parameter `access_token` may carry it.
    pub in_query: bool,
}

impl TokenPlaces {
    /// The token of a request: from the header, or else the parameter, or else the cookie.
    pub(super) fn token<'a>(&self, request: &'a HttpRequest) -> Result<Cow<'a, str>, Problem> {
        if has_header(request) {
            let detail =
                "The Authorization header must be there once: Bearer, a space, and the token.";
            let token = bearer_token(request).map(Cow::Borrowed);
            return token.ok_or_else(|| malformed(detail, "Authorization"));
        }
        if let Some(token) = self.parameter(request)? {
            return Ok(token);
        }
        self.cookie(request)?.ok_or_else(|| {
            let detail = "A token is needed: as Authorization: Bearer …, as the access_token parameter \
                          or as a cookie.";
            missing(detail)
        })
    }

    fn parameter<'a>(&self, request: &'a HttpRequest) -> Result<Option<Cow<'a, str>>, Problem> {
        let mut tokens = parameters(request, TOKEN_PARAMETER);
        let token = tokens.next();
        if tokens.next().is_some() {
            return Err(malformed("access_token is given twice.", TOKEN_PARAMETER));
        }
        if token.is_some() && !self.in_query {
            let detail = "The parameter access_token is switched off here: send the token as Authorization: \
                          Bearer …, or open streams with a ticket from POST /sessions/ticket.";
            return Err(missing(detail).at(TOKEN_PARAMETER));
        }
        Ok(token)
    }

    fn cookie<'a>(&self, request: &'a HttpRequest) -> Result<Option<Cow<'a, str>>, Problem> {
        let value = cookie(request, &self.cookie);
        let value =
            value.map_err(|_| malformed("The cookie of the token is there twice.", "Cookie"))?;
        // What is not UTF-8 is no token either way.
        Ok(value.map(String::from_utf8_lossy))
    }
}

/// The token in the header `Authorization`, if that is there once.
pub(super) fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let value = single_header(request.headers(), header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The ticket of a request without a token.
pub(super) fn ticket(request: &HttpRequest) -> Option<String> {
    if has_header(request) {
        return None;
    }
    let ticket = parameters(request, TICKET_PARAMETER).next()?;
    Some(ticket.into_owned())
}

fn has_header(request: &HttpRequest) -> bool {
    request.headers().contains_key(header::AUTHORIZATION)
}

/// The values of a parameter.
fn parameters<'a>(
    request: &'a HttpRequest,
    name: &'static str,
) -> impl Iterator<Item = Cow<'a, str>> {
    let named = pairs(request.query_string()).filter(move |(its_name, _)| its_name == name);
    named.map(|(_, value)| value)
}

fn missing(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, Code::TokenMissing, detail)
}

fn malformed(detail: &'static str, field: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, Code::TokenMalformed, detail).at(field)
}
