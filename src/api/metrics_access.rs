//! Who may read `/metrics`: everyone on a loopback address, elsewhere those with the metrics token.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest};
use sha2::{Digest, Sha256};

use super::Context;
use super::problem::{Code, Problem};
use crate::identity::Secret;

#[derive(Clone, Debug)]
pub enum MetricsAccess {
    Everyone,
    /// Those with this token.
    Token(Secret),
    /// No token is configured.
    Nobody,
}

impl MetricsAccess {
    /// Without a token, only a loopback address answers.
    #[must_use]
    pub fn new(token: Option<&Secret>, is_loopback: bool) -> Self {
        match token {
            Some(token) => Self::Token(token.clone()),
            None if is_loopback => Self::Everyone,
            None => Self::Nobody,
        }
    }

    fn allows(&self, token: Option<&str>) -> bool {
        match self {
            Self::Everyone => true,
            // Digests are compared, so that the time says nothing about the token.
            Self::Token(secret) => {
                token.is_some_and(|token| Sha256::digest(token) == Sha256::digest(secret.reveal()))
            }
            Self::Nobody => false,
        }
    }
}

/// A caller that may read the metrics.
pub(super) struct MetricsReader;

impl FromRequest for MetricsReader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Context::of(request).and_then(|context| {
            let value = request.headers().get(header::AUTHORIZATION);
            let value = value.and_then(|value| value.to_str().ok());
            let token = value.and_then(|value| value.strip_prefix("Bearer "));
            let is_allowed = context.services.metrics_access.allows(token);
            is_allowed.then_some(Self).ok_or_else(|| {
                let detail = "Metrics need the token of PORCHLIGHT_METRICS_TOKEN: Authorization: Bearer, \
                              a space, and the token.";
                Problem::new(StatusCode::UNAUTHORIZED, Code::MetricsTokenNeeded, detail)
            })
        }))
    }
}
