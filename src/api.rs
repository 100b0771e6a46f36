//! HTTP: handlers extract, call and respond. Everything else happens elsewhere.

pub mod access;
mod activity;
mod body;
mod caller;
mod code;
mod connection;
mod console;
mod cors;
mod get_events;
mod health;
mod idempotency;
mod limited;
mod lock_problem;
mod locks;
mod notifications;
pub mod openapi;
mod page;
mod post_events;
mod post_signals;
mod precondition;
mod presence;
mod problem;
mod query;
mod record;
mod record_fields;
mod record_problem;
mod records;
pub mod routes;
mod services;
mod streams;
mod task_output;
mod task_problem;
mod tasks;
mod tasks_worker;
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
pub use openapi::DOCUMENT;
pub use problem::Problem;
pub use services::{Limits, Services};

use crate::fanout::Dispatcher;
use crate::platform::PageLimit;

/// What handlers work with: the service, and the streams of their own thread.
#[derive(Clone)]
pub struct Context {
    pub services: Arc<Services>,
    /// The streams of this thread.
    pub dispatcher: Rc<Dispatcher>,
}

impl Context {
    /// A page of so many items, and of no more bytes than the service allows.
    fn page_limit(&self, items: usize) -> PageLimit {
        PageLimit::new(items, self.services.limits.page_bytes)
    }
}

impl FromRequest for Context {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let context = request.app_data::<Self>().cloned();
        ready(
            context
                .ok_or_else(|| Problem::new(status, Code::Internal, "The service is not wired.")),
        )
    }
}
