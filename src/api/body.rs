//! Bodies: JSON of a bounded size, every field known.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Context;
use super::problem::{Code, Problem};
use crate::log::field_at_fault;

/// How long a body may take that is read as a whole.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Kind {
    media_types: &'static [&'static str],
    refusal: &'static str,
}

const JSON: Kind = Kind {
    media_types: &["application/json"],
    refusal: "The body must be JSON, sent with Content-Type: application/json.",
};
/// What a change of some fields may be sent as: RFC 7396.
const PATCH: Kind = Kind {
    media_types: &["application/json", "application/merge-patch+json"],
    ..JSON
};
const CSV: Kind = Kind {
    media_types: &["text/csv"],
    refusal: "The body must be a CSV file, sent with Content-Type: text/csv.",
};

/// Reads a JSON body of at most `limit` bytes.
pub async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<Bytes, Problem> {
    read_as(request, (payload, limit), &JSON).await
}

/// Refuses a body that is not sent as a CSV file.
pub fn expect_csv(request: &HttpRequest) -> Result<(), Problem> {
    expect(request, &CSV)
}

/// How long a body says that it is.
pub fn length(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

async fn read_as(
    request: &HttpRequest,
    (mut payload, limit): (web::Payload, usize),
    kind: &Kind,
) -> Result<Bytes, Problem> {
    expect(request, kind)?;
    let whole = tokio::time::timeout(TIMEOUT, gathered(&mut payload, limit)).await;
    whole.unwrap_or_else(|_| {
        let seconds = TIMEOUT.as_secs();
        let detail = format!("The body did not arrive within {seconds} seconds.");
        Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            Code::BodyTimeout,
            detail,
        ))
    })
}

fn expect(request: &HttpRequest, kind: &Kind) -> Result<(), Problem> {
    let is_known = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| {
            let value = value.to_str().unwrap_or_default();
            let media_type = value.split(';').next().unwrap_or_default().trim();
            let mut known = kind.media_types.iter();
            known.any(|known| media_type.eq_ignore_ascii_case(known))
        });
    if !is_known {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let problem = Problem::new(status, Code::UnsupportedMediaType, kind.refusal);
        return Err(problem.at("Content-Type"));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        let detail = "A compressed body is not understood here.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, Code::UnsupportedEncoding, detail).at("Content-Encoding"));
    }
    Ok(())
}

impl Context {
    /// Reads and parses a body of the usual size.
    pub async fn body<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<T, Problem> {
        parse(&read(request, payload, self.services.limits.body_bytes).await?)
    }

    /// The same, of a request that may come without one: what it says then is nothing.
    pub async fn body_if_any<T: DeserializeOwned + Default>(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<T, Problem> {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        let is_empty = length.is_none_or(|length| length == "0");
        if is_empty && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Ok(T::default());
        }
        self.body(request, payload).await
    }

    /// The same, of a change of some fields.
    pub async fn patch_body<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<T, Problem> {
        let limit = self.services.limits.body_bytes;
        parse(&read_as(request, (payload, limit), &PATCH).await?)
    }
}

async fn gathered(payload: &mut web::Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(part) = payload.next().await {
        let part = part.map_err(|_| broken_off())?;
        if body.len() + part.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// The end of a body did not come.
pub(super) fn broken_off() -> Problem {
    Problem::bad_request(
        Code::InvalidBody,
        "The body broke off, or a chunk of it cannot be read.",
    )
}

/// A body has more bytes than it may have.
pub(super) fn too_large(limit: usize) -> Problem {
    let detail = format!("The body is larger than {limit} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, detail)
}

/// Parses a body, naming the field at fault.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value: Object<T> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.into_inner().to_string();
        let field = field_at_fault(&path, &detail);
        let problem = Problem::bad_request(Code::InvalidBody, detail);
        match field {
            Some(field) => problem.at(field),
            None => problem,
        }
    })?;
    json.end()
        .map_err(|error| Problem::bad_request(Code::InvalidBody, error.to_string()))?;
    Ok(value.0)
}

/// A JSON object. Without this, a list of its fields' values would do as well.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}
