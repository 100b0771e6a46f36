//! The header `Idempotency-Key`.

use std::fmt::Display;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponseBuilder};

use super::problem::Problem;
use crate::identity::Caller;
use crate::log::{IdempotencyKey, IdempotencyKeyId, Operation};

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
    let Some(value) = request.headers().get("Idempotency-Key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_CHARS).contains(&key.len()) && !key.contains('\t'));
    let key = key.ok_or_else(|| {
        let reason = format!("must be 1 to {KEY_CHARS} characters of visible ASCII");
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
