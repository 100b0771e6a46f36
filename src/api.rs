//! HTTP: the table of routes, the extractors, the handlers and the problems.
//!
//! A handler takes extractors as arguments, calls one operation of another module, and responds. It
//! holds no state and runs no SQL.

pub mod access;
mod activity;
mod admin;
mod admin_overview;
mod audience;
mod body;
mod caller;
mod caller_rules;
mod chunked_body;
mod client_address;
mod code;
mod connection;
mod console;
mod cookie;
mod cors;
mod database_check;
mod demo;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
mod framing;
mod get_events;
mod health;
mod idempotency;
mod limited;
mod lock_problem;
mod locks;
mod metrics_access;
mod notifications;
pub mod openapi;
mod page;
mod path;
mod people;
mod post_events;
mod post_signals;
mod precondition;
mod presence;
mod problem;
mod query;
mod quota_problem;
mod rate_limits;
mod record;
mod record_fields;
mod record_problem;
mod records;
mod request_context;
mod request_figures;
mod request_trace;
pub mod routes;
mod services;
mod session_quotas;
mod sessions;
mod slow_bodies;
mod stream_caller;
mod streams;
mod task_output;
mod task_problem;
mod tasks;
mod tasks_worker;
mod token;
mod uploads;

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};

pub use access::RefusalKind;
pub use code::Code;
pub use connection::Connection;
pub use cors::Origins;
pub use database_check::DatabaseCheck;
pub use demo::DemoSignIn;
pub use metrics_access::MetricsAccess;
pub use openapi::DOCUMENT;
pub use problem::Problem;
pub use rate_limits::{RateLimits, Rates};
pub use request_figures::RequestFigures;
pub use services::{
    ApiLimits, CallerServices, CollabServices, DirectoryServices, HealthServices, InboxServices,
    RequestLimits, RequestTelemetry, Services,
};
pub use slow_bodies::SlowBodies;
pub use token::TokenPlaces;

use crate::fanout::Dispatcher;
use crate::platform::PageLimit;

/// An argument of handlers: the services, and the streams of the handler's own thread.
#[derive(Clone)]
pub struct Context {
    pub services: Arc<Services>,
    pub dispatcher: Rc<Dispatcher>,
}

impl Context {
    /// Every worker thread has a context: [`routes::configure`] is called with one.
    fn of(request: &HttpRequest) -> Result<&Self, Problem> {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let context = request.app_data::<Self>();
        context.ok_or_else(|| Problem::new(status, Code::Internal, "The service is not wired."))
    }

    /// A page has at most `items` items, and no more bytes than the settings allow.
    fn page_limit(&self, items: usize) -> PageLimit {
        PageLimit::new(items, self.services.limits.requests.page_bytes)
    }
}

impl FromRequest for Context {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).cloned())
    }
}
