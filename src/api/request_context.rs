//! What its log lines tell of a request.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;

use super::{Context, routes};
use crate::platform::RequestId;
use crate::platform::telemetry::log_context::LogContext;
use crate::platform::traces::{OpenSpan, SpanContext};

/// It ends with the head of the response, so a stream keeps nothing of it.
#[derive(Debug)]
pub(super) struct RequestContext {
    id: RequestId,
    method: Method,
    /// A route with variables is known when the handler is called.
    route: OnceLock<&'static str>,
    instance: Option<Arc<str>>,
    span: Option<SpanContext>,
}

impl RequestContext {
    pub(super) fn of(request: &ServiceRequest, id: &RequestId, span: Option<&OpenSpan>) -> Self {
        let context = request.app_data::<Context>();
        let route = routes::without_variables(request.path());
        Self {
            id: id.clone(),
            method: request.method().clone(),
            route: route.map_or_else(OnceLock::new, OnceLock::from),
            instance: context.map(|context| Arc::clone(&context.services.telemetry.instance)),
            span: span.map(OpenSpan::context),
        }
    }
}

impl LogContext for RequestContext {
    fn name(&self) -> &'static str {
        "request"
    }

    fn fields(&self, put: &mut dyn FnMut(&str, &dyn Display)) {
        put("id", &self.id);
        put("method", &self.method);
        if let Some(route) = self.route.get() {
            put("route", route);
        }
        if let Some(instance) = &self.instance {
            put("instance", instance);
        }
        if let Some(span) = &self.span {
            put("trace", &span.trace);
        }
    }

    fn found_route(&self, route: &'static str) {
        let _ = self.route.set(route);
    }
}
