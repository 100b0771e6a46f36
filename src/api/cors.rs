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
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
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

/// Whether a page of another origin embeds this address, as an image, a script or a frame, or sends it a
/// form. Such requests may have no `Origin`, and send cookies. Links from other pages are allowed.
fn is_embedded_elsewhere(head: &RequestHead) -> bool {
    let site = text(head, SEC_FETCH_SITE);
    let is_elsewhere = matches!(site, Some("cross-site" | "same-site"));
    is_elsewhere && !is_link(head)
}

/// Whether the answer is what a window shows next.
fn is_link(head: &RequestHead) -> bool {
    let is_document = matches!(text(head, SEC_FETCH_DEST), None | Some("document"));
    head.method.is_safe() && text(head, SEC_FETCH_MODE) == Some("navigate") && is_document
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
        let mut origins = head.headers().get_all(header::ORIGIN).peekable();
        let is_allowed = if origins.peek().is_some() {
            let mut origins = origins.map(|origin| origin.to_str());
            origins.all(|origin| origin.is_ok_and(|origin| self.allows(origin, head)))
        } else {
            !is_embedded_elsewhere(head)
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
            "traceparent",
            "tracestate",
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

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_page_elsewhere_may_link_and_nothing_else() {
        let origins = Origins::new(&[]);
        let get = Method::GET;
        for (method, mode, dest, is_allowed) in [
            (&get, "navigate", Some("document"), true),
            (&get, "navigate", None, true),
            (&get, "navigate", Some("iframe"), false),
            (&get, "navigate", Some("embed"), false),
            (&get, "no-cors", Some("image"), false),
            (&Method::POST, "navigate", Some("document"), false),
        ] {
            for site in ["cross-site", "same-site"] {
                let request = TestRequest::with_uri("/stream").method(method.clone());
                let request = request.insert_header((SEC_FETCH_SITE, site));
                let mut request = request.insert_header((SEC_FETCH_MODE, mode));
                if let Some(dest) = dest {
                    request = request.insert_header((SEC_FETCH_DEST, dest));
                }
                let refused = origins.refuse(request.to_http_request().head());
                assert_eq!(refused.is_none(), is_allowed, "{method} {mode} {dest:?}");
            }
        }
    }

    #[test]
    fn every_origin_of_a_request_must_be_allowed() {
        let origins = Origins::new(&["https://a.example".to_owned()]);
        for (second, is_allowed) in [("https://a.example", true), ("https://b.example", false)] {
            let request = TestRequest::default()
                .append_header((header::ORIGIN, "https://a.example"))
                .append_header((header::ORIGIN, second));
            let refused = origins.refuse(request.to_http_request().head());
            assert_eq!(refused.is_none(), is_allowed, "{second}");
        }
    }
}
