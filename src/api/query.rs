//! Query parameters as arguments of handlers: each known by name, each at most once.

use std::borrow::Cow;
use std::fmt::Display;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};
use crate::log::named_field;

/// The parameter with the token of clients that cannot set headers. Every request may have it.
pub(super) const TOKEN_PARAMETER: &str = "access_token";

/// The parameters of a request, as a struct that names each and takes text.
pub(super) struct Query<T>(pub(super) T);

/// The request has no parameters.
pub(super) type NoQuery = Query<NoFields>;

/// An object without fields.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFields {}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()).map(Self))
    }
}

/// The value of a header that is there once. Of several, two readers could take different ones.
pub(super) fn single_header(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// The pairs of a query string, decoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

pub(super) fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    // Replacing what is not UTF-8 would change the meaning.
    let decoded = percent_encoding::percent_decode_str(query).decode_utf8();
    decoded.map_err(|_| Problem::bad_request(Code::InvalidParameter, "the query is not UTF-8"))?;
    let mut seen = serde_json::Map::new();
    for (name, value) in pairs(query).filter(|(name, _)| name != TOKEN_PARAMETER) {
        if seen.insert(name.to_string(), value.into()).is_some() {
            return Err(Problem::bad_parameter(&name, "is given twice"));
        }
    }
    serde_path_to_error::deserialize(serde_json::Value::Object(seen)).map_err(|error| {
        let detail = error.inner().to_string();
        let field = named_field(&detail).unwrap_or_else(|| error.path().to_string());
        Problem::bad_request(Code::InvalidParameter, detail).at(field)
    })
}

/// Parses the value of the parameter `field`.
pub(super) fn parsed<T>(field: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: FromStr<Err: Display>,
{
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| Problem::bad_parameter(field, error))
}

/// Parses the number in the parameter `field`, which must be in `range`.
pub(super) fn number<N: FromStr + PartialOrd + Display>(
    field: &str,
    text: Option<&str>,
    range: RangeInclusive<N>,
) -> Result<Option<N>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        let reason = format!("must be a number from {} to {}", range.start(), range.end());
        Problem::bad_parameter(field, reason)
    })
}
