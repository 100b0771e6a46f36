//! The header `Idempotency-Key`.

use actix_web::HttpRequest;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::identity::Caller;
use crate::log::{IdempotencyKey, IdempotencyKeyId, Operation};

/// Characters that a key may have.
pub(super) const KEY_CHARS: usize = 255;

/// The key that a request comes with, if any.
pub(super) fn name(request: &HttpRequest) -> Result<Option<String>, Problem> {
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

/// The key of this caller for this operation, which stands for this body.
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
