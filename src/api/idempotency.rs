//! The header `Idempotency-Key`.

use std::fmt::Display;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest, HttpResponseBuilder};

use super::problem::Problem;
use super::query::single_header;
use crate::identity::Caller;
use crate::log::{IdempotencyKey, IdempotencyKeyId, Operation};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key.
pub(super) const KEY_CHARS: usize = 255;

/// The value of the header, if the request has it.
pub(super) struct KeyHeader(pub(super) Option<String>);

impl FromRequest for KeyHeader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(name(request).map(Self))
    }
}

fn name(request: &HttpRequest) -> Result<Option<String>, Problem> {
    if !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let value = single_header(request.headers(), IDEMPOTENCY_KEY);
    let key = value
        .and_then(|value| value.to_str().ok())
        .filter(|key| (1..=KEY_CHARS).contains(&key.len()) && !key.contains('\t'));
    let key = key.ok_or_else(|| {
        let reason =
            format!("must be there once, with 1 to {KEY_CHARS} characters of visible ASCII");
        Problem::bad_parameter("Idempotency-Key", reason)
    })?;
    Ok(Some(key.to_owned()))
}

impl KeyHeader {
    /// The caller's key for an operation, whose body is not known yet.
    pub(super) fn id(self, caller: &Caller, operation: Operation) -> Option<IdempotencyKeyId> {
        self.0.map(|name| IdempotencyKeyId {
            broker: caller.broker.clone(),
            principal: caller.role.principal(),
            user: caller.user.clone(),
            operation,
            name,
        })
    }

    /// The caller's key for an operation with this body.
    pub(super) fn key(
        self,
        caller: &Caller,
        operation: Operation,
        body: &[u8],
    ) -> Option<IdempotencyKey> {
        let id = self.id(caller, operation);
        id.map(|id| IdempotencyKey::new(id, body))
    }

    /// The caller's key for an operation on the target that the path names.
    pub(super) fn key_for(
        self,
        caller: &Caller,
        operation: Operation,
        target: impl Display,
        body: &[u8],
    ) -> Option<IdempotencyKey> {
        let id = self.id(caller, operation);
        id.map(|id| IdempotencyKey::for_target(id, &target.to_string(), body))
    }
}

/// Says in the head of an answer that it is the answer to an earlier request.
pub(super) fn mark(response: &mut HttpResponseBuilder, is_repeat: bool) {
    if is_repeat {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_key_is_one_text() {
        let name_of = |values: &[&str]| {
            let mut request = TestRequest::default();
            for value in values {
                request = request.append_header((IDEMPOTENCY_KEY, *value));
            }
            name(&request.to_http_request())
        };
        assert_eq!(name_of(&[]).unwrap(), None);
        assert_eq!(name_of(&["a, b"]).unwrap().as_deref(), Some("a, b"));
        let longest = "x".repeat(KEY_CHARS);
        assert!(name_of(&[&longest]).is_ok());
        for wrong in [
            &["a", "b"][..],
            &["a", "a"],
            &[""],
            &[&format!("{longest}x")],
        ] {
            assert!(name_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
