//! HTTP: handlers extract, call and respond. Everything else happens elsewhere.

pub mod access;
pub mod activity;
pub mod body;
pub mod caller;
pub mod connection;
pub mod console;
pub mod cors;
pub mod get_events;
pub mod health;
pub mod idempotency;
pub mod lock_problem;
pub mod locks;
pub mod notifications;
pub mod openapi;
mod page;
pub mod post_events;
pub mod post_signals;
pub mod precondition;
pub mod presence;
pub mod problem;
pub mod query;
pub mod record;
pub mod record_fields;
pub mod record_problem;
pub mod records;
pub mod routes;
pub mod streams;
pub mod task_output;
pub mod task_problem;
pub mod tasks;
pub mod tasks_worker;
pub mod uploads;

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};

pub use problem::Problem;

use crate::app::App;
use crate::hub::Switchboard;
use crate::paging::PageLimit;

/// What handlers work with: the service, and the streams of their own thread.
#[derive(Clone)]
pub struct Service {
    /// The service.
    pub app: Arc<App>,
    /// The streams of this thread.
    pub board: Rc<Switchboard>,
}

impl Service {
    /// A page of so many items, and of no more bytes than the service allows.
    fn page_limit(&self, items: usize) -> PageLimit {
        PageLimit::new(items, self.app.limits.page_bytes)
    }
}

impl FromRequest for Service {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let service = request.app_data::<Self>().cloned();
        ready(service.ok_or_else(|| Problem::new(status, "internal", "The service is not wired.")))
    }
}
