//! Around every request: a name for it, a line about it, and the refusal of strange origins.
//!
//! Logs name the path and never the query, which may carry a token. Refusals come in floods: all
//! are counted, and of each kind only so many are logged.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use tokio::time::Instant;
use uuid::Uuid;

use super::Services;
use super::cors::Origins;
use super::{Context, Problem};
use crate::identity::Caller;
use crate::platform::Metrics;
use crate::platform::{RecordId, RequestId};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The code of a refusal that no problem of ours describes.
const NO_CODE: &str = "other";
/// The route of a request that has none.
const NO_ROUTE: &str = "none";
/// The same of what is no request at all.
const UNREADABLE: &str = "unreadable";

/// Refusals that are told apart in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusalKind {
    /// The route, with names for what differs: `/records/{module}`.
    pub route: String,
    pub status: u16,
}

impl RefusalKind {
    /// Says how many lines of this kind were left out.
    pub fn sum_up(&self, left_out: u64) {
        let (route, status_code) = (&*self.route, self.status);
        tracing::info!(route, status_code, left_out, "more was refused");
    }
}

/// Names the request, serves it, and logs how it went.
pub async fn around(
    origins: web::Data<Origins>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let began = Instant::now();
    let id = named(request.request());
    request.extensions_mut().insert(id.clone());
    let refused = origins.refuse(request.head());
    let mut response = match refused {
        Some(problem) => request.into_response(HttpResponse::from_error(problem)),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    let id = id.to_string();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    log(&response, &id, began);
    Ok(response)
}

/// The caller's own name for the request, where it has a sane one.
fn named(request: &HttpRequest) -> RequestId {
    let theirs = request.headers().get(REQUEST_ID);
    let theirs = theirs.and_then(|value| value.to_str().ok());
    match theirs.filter(|id| RecordId::parse(id).is_ok()) {
        Some(id) => RequestId::Given(id.into()),
        None => RequestId::Made(Uuid::new_v4()),
    }
}

/// The name that a request was given.
pub(super) fn request_id(request: &HttpRequest) -> RequestId {
    let known = request.extensions().get().cloned();
    known.unwrap_or_else(|| named(request))
}

fn log(response: &ServiceResponse<BoxBody>, id: &str, began: Instant) {
    let request = response.request();
    let status = response.status();
    let context = request.app_data::<Context>();
    if let Some(context) = context {
        let class = class(status);
        let responses = &context.services.metrics.responses;
        responses.get_or_create(&[("class", class)]).inc();
    }
    let is_refused = status.is_client_error() || status.is_server_error();
    if is_refused && !context.is_none_or(|context| is_logged(context, response)) {
        return;
    }
    let extensions = request.extensions();
    let user = extensions
        .get::<Caller>()
        .map(|caller| caller.user.as_str());
    let code = response.response().error().map(ToString::to_string);
    let (method, path) = (request.method().as_str(), request.path());
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status_code = status.as_u16();
    match status_code {
        500.. => tracing::warn!(id, method, path, status_code, ms, user, code, "answered"),
        400..500 => tracing::info!(id, method, path, status_code, ms, user, code, "refused"),
        _ => tracing::debug!(id, method, path, status_code, ms, user, "answered"),
    }
}

/// What is refused before it is a request: nothing is known of it but the answer.
pub(super) fn unreadable(app: &Services, problem: &Problem) -> RequestId {
    let (id, status) = (RequestId::Made(Uuid::new_v4()), problem.status_code());
    let responses = &app.metrics.responses;
    responses.get_or_create(&[("class", class(status))]).inc();
    count_refusal(&app.metrics, status, problem.code().as_str());
    let status_code = status.as_u16();
    let kind = RefusalKind {
        route: UNREADABLE.to_owned(),
        status: status_code,
    };
    if app.refusals.admits(&kind) {
        tracing::info!(%id, status_code, code = %problem, "refused");
    }
    id
}

/// Counts a refusal, and says whether it is logged.
fn is_logged(context: &Context, response: &ServiceResponse<BoxBody>) -> bool {
    let status = response.status();
    let error = response.response().error();
    let problem = error.and_then(|error| error.as_error::<Problem>());
    count_refusal(
        &context.services.metrics,
        status,
        problem.map_or(NO_CODE, |problem| problem.code().as_str()),
    );
    let route = response.request().match_pattern();
    context.services.refusals.admits(&RefusalKind {
        route: route.unwrap_or_else(|| NO_ROUTE.to_owned()),
        status: status.as_u16(),
    })
}

fn count_refusal(metrics: &Metrics, status: StatusCode, code: &'static str) {
    let labels = [("class", class(status)), ("code", code)];
    metrics.refusals.get_or_create(&labels).inc();
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
