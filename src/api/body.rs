//! Bodies as arguments of handlers: JSON of a bounded size with known fields, or a file.

use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Context;
use super::problem::{Code, Problem};
use super::slow_bodies::SlowBody;
use crate::identity::Caller;
use crate::log::field_at_fault;

/// The limit of a body that anybody may send.
const MOST_PUBLIC_BYTES: usize = 1_024;

struct BodyKind {
    media_types: &'static [&'static str],
    refusal: &'static str,
    /// If that is less than all bodies may have.
    most_bytes: usize,
    /// Whether strangers may send it.
    is_public: bool,
}

const JSON: BodyKind = BodyKind {
    media_types: &["application/json"],
    refusal: "The body must be JSON, sent with Content-Type: application/json.",
    most_bytes: usize::MAX,
    is_public: false,
};
const PUBLIC_JSON: BodyKind = BodyKind {
    most_bytes: MOST_PUBLIC_BYTES,
    is_public: true,
    ..JSON
};
/// The media types of a change of some fields: RFC 7396.
const PATCH: BodyKind = BodyKind {
    media_types: &["application/json", "application/merge-patch+json"],
    ..JSON
};
const CSV: BodyKind = BodyKind {
    media_types: &["text/csv"],
    refusal: "The body must be a CSV file, sent with Content-Type: text/csv.",
    ..JSON
};

/// A JSON body, parsed into `T`.
pub(super) struct Json<T>(pub(super) T);

/// A small JSON body, which strangers may send.
pub(super) struct PublicJson<T>(pub(super) T);

/// A JSON body that may be missing: then it is the default.
pub(super) struct OptionalJson<T>(pub(super) T);

/// The bytes of a JSON body, for handlers that hash them.
pub(super) struct JsonBytes(pub(super) Bytes);

/// The bytes of a JSON body that changes some fields.
pub(super) struct MergePatchBytes(pub(super) Bytes);

/// A CSV file that has not been read yet.
pub(super) struct CsvBody {
    /// The value of `Content-Length`.
    pub(super) length: Option<usize>,
    pub(super) payload: Payload,
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, &JSON);
        Box::pin(async move { parse(&body.await?).map(Self) })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for PublicJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, &PUBLIC_JSON);
        Box::pin(async move { parse(&body.await?).map(Self) })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        let is_empty = length.is_none_or(|length| length == "0");
        if is_empty && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Box::pin(ready(Ok(Self(T::default()))));
        }
        let body = read(request, payload, &JSON);
        Box::pin(async move { parse(&body.await?).map(Self) })
    }
}

impl FromRequest for JsonBytes {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, &JSON);
        Box::pin(async move { body.await.map(Self) })
    }
}

impl FromRequest for MergePatchBytes {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, &PATCH);
        Box::pin(async move { body.await.map(Self) })
    }
}

impl FromRequest for CsvBody {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let length = content_length(request);
        ready(expect(request, &CSV).map(|()| Self { length, payload }))
    }
}

/// Reads a body, which has at most as many bytes and takes at most as long as the settings allow. It
/// reads nothing before the future is polled.
fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    kind: &'static BodyKind,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let limits = Context::of(request).map(|context| context.services.limits.requests);
    let limits = limits.and_then(|limits| expect(request, kind).map(|()| limits));
    let (mut payload, request) = (payload.take(), request.clone());
    async move {
        let limits = limits?;
        let most_bytes = limits.body_bytes.min(kind.most_bytes);
        // Nobody waits for a body that is too long.
        if content_length(&request).is_some_and(|length| length > most_bytes) {
            return Err(too_large(most_bytes));
        }
        let timeout = limits.body_timeout;
        let whole = collect(&mut payload, most_bytes, kind, &request);
        let whole = tokio::time::timeout(timeout, whole).await;
        whole.unwrap_or_else(|_| {
            let (status, seconds) = (StatusCode::REQUEST_TIMEOUT, timeout.as_secs());
            let detail = format!("The body did not arrive within {seconds} seconds.");
            Err(Problem::new(status, Code::BodyTimeout, detail))
        })
    }
}

/// The length that a body says it has. A chunked body says none.
fn content_length(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn expect(request: &HttpRequest, kind: &BodyKind) -> Result<(), Problem> {
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
        let detail = "The body must not be compressed.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, Code::UnsupportedEncoding, detail).at("Content-Encoding"));
    }
    Ok(())
}

/// A body that comes in one part is not copied. Another gets its memory at once, for the length that it says it has, which
/// is at most the limit: memory that grows leaves free blocks of many sizes behind.
async fn collect(
    payload: &mut Payload,
    limit: usize,
    kind: &BodyKind,
    request: &HttpRequest,
) -> Result<Bytes, Problem> {
    let length = content_length(request);
    // The first part, as long as there is no other.
    let mut only = Bytes::new();
    let mut body = BytesMut::new();
    let (mut received, mut slow) = (0, None);
    loop {
        // What has come without its end is kept in memory. Most bodies come at once.
        let ready = payload.next().now_or_never();
        if ready.is_none() && received > 0 && slow.is_none() {
            slow = Some(slow_body(request, kind)?);
        }
        let part = match ready {
            Some(part) => part,
            None => payload.next().await,
        };
        let Some(part) = part else { break };
        let part = part.map_err(|_| broken_off())?;
        received += part.len();
        if received > limit {
            return Err(too_large(limit));
        }
        if only.is_empty() && body.is_empty() {
            only = part;
            continue;
        }
        if body.is_empty() {
            body.reserve(length.unwrap_or_default().min(limit));
            body.extend_from_slice(&std::mem::take(&mut only));
        }
        body.extend_from_slice(&part);
    }
    Ok(if body.is_empty() { only } else { body.freeze() })
}

/// Counts a body that has not arrived, until it is dropped.
fn slow_body(request: &HttpRequest, kind: &BodyKind) -> Result<Option<SlowBody>, Problem> {
    let limits = &Context::of(request)?.services.limits;
    if kind.is_public {
        let network = limits.rates.network(request);
        return limits.slow_bodies.begin_public(network).map(Some);
    }
    let extensions = request.extensions();
    let caller = extensions.get::<Caller>();
    let slow = caller.map(|caller| limits.slow_bodies.begin(caller));
    slow.transpose().map(Option::flatten)
}

/// The connection ended, or a chunk was malformed, before the end of the body.
pub(super) fn broken_off() -> Problem {
    Problem::bad_request(
        Code::MalformedRequest,
        "The body broke off, or a chunk of it cannot be read.",
    )
    .closing()
}

pub(super) fn too_large(limit: usize) -> Problem {
    let detail = format!("The body is larger than {limit} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, detail)
}

/// Parses a body. A problem names the field at fault: a body that is wrong is parsed again to find it.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if let Ok(Object(value)) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value: Object<T> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.into_inner().to_string();
        let field = field_at_fault(&path, &detail);
        let detail = match &field {
            // A type says what its values must be, and not where it stands.
            Some(field) if detail.starts_with("must ") => format!("{field} {detail}"),
            _ => detail,
        };
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

/// A JSON object. Serde would also take an array of the values of its fields.
pub(super) struct Object<T>(pub(super) T);

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

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::*;
    use crate::platform::ModuleName;

    #[derive(Debug, Deserialize)]
    struct Lock {
        #[serde(rename = "module")]
        _module: ModuleName,
    }

    #[test]
    fn a_refusal_says_which_value_is_wrong() {
        let refused = parse::<Lock>(br#"{"module":"a b"}"#).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("module must be 1 to 64 characters"), "{said}");
    }

    async fn collected(parts: &[Bytes], length: Option<usize>) -> Result<Bytes, Problem> {
        let request = TestRequest::default();
        let request = match length {
            Some(length) => request.insert_header((header::CONTENT_LENGTH, length)),
            None => request,
        };
        let payload = Box::pin(stream::iter(parts.to_vec()).map(Ok));
        collect(
            &mut Payload::Stream { payload },
            100,
            &JSON,
            &request.to_http_request(),
        )
        .await
    }

    #[tokio::test]
    async fn a_body_of_one_part_is_not_copied() {
        let part = Bytes::from(vec![b'x'; 60]);
        let body = collected(std::slice::from_ref(&part), Some(60)).await;
        assert_eq!(body.unwrap().as_ptr(), part.as_ptr());
        assert_eq!(collected(&[], Some(0)).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_of_many_parts_has_memory_for_its_length_and_no_more() {
        let parts = vec![Bytes::from(vec![b'x'; 9]); 10];
        for length in [Some(90), None] {
            let body = collected(&parts, length).await.unwrap();
            assert_eq!(body, [b'x'; 90].as_slice());
            let capacity = body.try_into_mut().unwrap().capacity();
            assert!(length.is_none() || capacity == 90, "{capacity}");
        }
        // It is never more than the limit.
        let body = collected(&parts, Some(usize::MAX)).await.unwrap();
        assert!(body.try_into_mut().unwrap().capacity() <= 100);
        assert!(collected(&vec![parts[0].clone(); 12], None).await.is_err());
    }
}
