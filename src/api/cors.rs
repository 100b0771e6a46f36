//! Which web pages may call: our own, and those of configured origins.
//!
//! The service refuses other pages before their requests do anything. CORS alone would not: a browser
//! withholds the answer after the request has been carried out.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::dev::RequestHead;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};

use super::problem::{Code, Problem};

/// How long browsers may cache the permission.
const MAX_AGE_SECONDS: usize = 3_600;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

fn text(head: &RequestHead, name: HeaderName) -> Option<&str> {
    head.headers().get(name)?.to_str().ok()
}

/// Whether a page with our host also has our scheme. The browser knows, or else the proxy that ends TLS:
/// someone in between can serve a page from http, and must not call https from it.
fn is_same_scheme(scheme: Option<&str>, head: &RequestHead) -> bool {
    if let Some(site) = text(head, SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    text(head, FORWARDED_PROTO) != Some("https") || scheme == Some("https")
}

/// Whether a page of another origin embeds this address, as an image or a script. Such requests have no
/// `Origin`, and send cookies. Links from other pages are allowed.
fn is_embedded_elsewhere(head: &RequestHead) -> bool {
    let site = text(head, SEC_FETCH_SITE);
    let is_elsewhere = matches!(site, Some("cross-site" | "same-site"));
    is_elsewhere && text(head, SEC_FETCH_MODE) != Some("navigate")
}

/// The configured origins.
#[derive(Clone, Debug)]
pub struct Origins(Arc<[String]>);

impl Origins {
    #[must_use]
    pub fn new(others: &[String]) -> Self {
        Self(others.into())
    }

    /// Without a configured origin the service does not answer CORS requests.
    #[must_use]
    pub fn has_others(&self) -> bool {
        !self.0.is_empty()
    }

    fn allows(&self, origin: &str, head: &RequestHead) -> bool {
        let host = head
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let (scheme, origin_host) = origin.split_once("://").unzip();
        let is_ours = origin_host.is_some() && origin_host == host && is_same_scheme(scheme, head);
        is_ours
            || self
                .0
                .iter()
                .any(|other| other.eq_ignore_ascii_case(origin))
    }

    /// The reason to refuse the request of a page, if there is one.
    #[must_use]
    pub fn refuse(&self, head: &RequestHead) -> Option<Problem> {
        let is_allowed = match head.headers().get(header::ORIGIN) {
            Some(origin) => origin
                .to_str()
                .is_ok_and(|origin| self.allows(origin, head)),
            None => !is_embedded_elsewhere(head),
        };
        if is_allowed {
            return None;
        }
        let detail = "Pages of this origin may not call. Add it to PORCHLIGHT_CORS_ORIGINS.";
        Some(Problem::new(StatusCode::FORBIDDEN, Code::OriginNotAllowed, detail).at("Origin"))
    }

    pub fn cors(&self) -> Cors {
        let origins = self.clone();
        let headers = [
            "authorization",
            "content-type",
            "last-event-id",
            "idempotency-key",
            "if-match",
            "lock-fence",
            "cache-control",
            "x-request-id",
        ]
        .map(HeaderName::from_static);
        Cors::default()
            .allowed_origin_fn(move |origin, head| {
                origin
                    .to_str()
                    .is_ok_and(|origin| origins.allows(origin, head))
            })
            .allowed_methods(["GET", "POST", "PATCH", "PUT", "DELETE"])
            .allowed_headers(headers)
            .expose_headers([
                "stream-position",
                "retry-after",
                "x-request-id",
                "etag",
                "location",
                "lock-fence",
                "idempotency-replayed",
                "ratelimit",
                "ratelimit-policy",
            ])
            .supports_credentials()
            .max_age(MAX_AGE_SECONDS)
    }
}
