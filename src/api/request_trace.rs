//! The span of a request that is sampled: because its header `traceparent` says so, or by chance.

use actix_web::HttpMessage;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};

use super::{Context, Problem};
use crate::identity::Caller;
use crate::platform::traces::{Attribute, OpenSpan};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `None`: the request is not sampled.
pub(super) fn begin(request: &ServiceRequest) -> Option<OpenSpan> {
    let context = request.app_data::<Context>()?;
    let tracer = &context.services.telemetry.tracer;
    tracer.request(traceparent(request.headers()))
}

/// A header that is there twice counts as missing.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT);
    let value = values.next()?;
    value.to_str().ok().filter(|_| values.next().is_none())
}

/// Ends the span with the head of the answer. A request without a caller leaves no span, so that strangers
/// cannot make any.
pub(super) fn end(mut span: OpenSpan, response: &ServiceResponse<BoxBody>) {
    let request = response.request();
    if request.extensions().get::<Caller>().is_none() {
        return;
    }
    let (method, status) = (request.method().to_string(), response.status());
    let route = request.match_pattern().unwrap_or_default();
    span.name(format!("{method} {route}"));
    span.add(Attribute::text("http.request.method", method));
    span.add(Attribute::text("http.route", route));
    let status_code = i64::from(status.as_u16());
    span.add(Attribute::number("http.response.status_code", status_code));
    if status.is_server_error() {
        let problem = response.response().error();
        let problem = problem.and_then(|error| error.as_error::<Problem>());
        if let Some(problem) = problem {
            span.add(Attribute::text("error.type", problem.code().as_str()));
        }
        span.fail();
    }
    span.end();
}
