//! Who may read `/metrics`: those with the metrics token. Without a token, whoever reaches a loopback
//! address without a proxy.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use sha2::{Digest, Sha256};

use super::Context;
use super::problem::{Code, Problem};
use super::token::bearer_token;
use crate::identity::Secret;

#[derive(Clone, Debug)]
pub enum MetricsAccess {
    /// Everyone on this machine.
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

    fn allows(&self, token: Option<&str>, is_forwarded: bool) -> bool {
        match self {
            Self::Everyone => !is_forwarded,
            // Digests are compared, so that the time says nothing about the token.
            Self::Token(secret) => {
                token.is_some_and(|token| Sha256::digest(token) == Sha256::digest(secret.reveal()))
            }
            Self::Nobody => false,
        }
    }
}

/// Whether a proxy on this machine has passed a request on: its sender may be anywhere.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let names = ["forwarded", "x-forwarded-for", "x-real-ip"];
    names.iter().any(|name| headers.contains_key(*name))
}

/// A caller that may read the metrics.
pub(super) struct MetricsReader;

impl FromRequest for MetricsReader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Context::of(request).and_then(|context| {
            let access = &context.services.health.metrics_access;
            let is_allowed = access.allows(bearer_token(request), is_forwarded(request.headers()));
            is_allowed.then_some(Self).ok_or_else(|| {
                let detail = "Metrics need the token of PORCHLIGHT_METRICS_TOKEN: Authorization: Bearer, \
                              a space, and the token.";
                Problem::new(StatusCode::UNAUTHORIZED, Code::MetricsTokenNeeded, detail)
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_this_machine_reads() {
        let token = Secret::new("a token");
        let wrong = Some("another");
        for (access, token, is_forwarded, is_allowed) in [
            (MetricsAccess::new(None, true), None, false, true),
            (MetricsAccess::new(None, true), None, true, false),
            (MetricsAccess::new(None, false), None, false, false),
            (MetricsAccess::new(Some(&token), true), None, false, false),
            (MetricsAccess::new(Some(&token), true), wrong, false, false),
            (
                MetricsAccess::new(Some(&token), false),
                Some("a token"),
                true,
                true,
            ),
        ] {
            assert_eq!(access.allows(token, is_forwarded), is_allowed, "{access:?}");
        }
    }
}
