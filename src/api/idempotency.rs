//! The header `Idempotency-Key`.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use sha2::{Digest, Sha256};

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

/// The caller's key `name` for an operation with this body.
pub(super) fn key(
    caller: &Caller,
    operation: Operation,
    name: String,
    body: &[u8],
) -> IdempotencyKey {
    let id = IdempotencyKeyId {
        broker: caller.broker.clone(),
        principal: caller.role.principal(),
        user: caller.user.clone(),
        operation,
        name,
    };
    let body_hash = Sha256::digest(body).to_vec();
    IdempotencyKey { id, body_hash }
}
