//! Query parameters: each known by name, each at most once.

use std::borrow::Cow;

use actix_web::HttpRequest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::caller::TOKEN_PARAMETER;
use super::problem::{Code, Problem};
use crate::log::named_field;

/// The pairs of a query string, decoded.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

/// Parses the parameters into `T`, which names every one it knows and takes text.
pub fn parse<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let query = request.query_string();
    // Replacing what is no UTF-8 would change what was meant.
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

pub fn none(request: &HttpRequest) -> Result<(), Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct None {}
    parse(request).map(|None {}| ())
}
