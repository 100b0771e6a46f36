//! The middleware around every request: gives it an id, logs it, and refuses foreign origins.
//!
//! Log lines have the path and never the query, which may carry a token. Refusals can come in floods:
//! all of them are counted, but only some of each kind are logged.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse, Url};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use futures_util::future::Either;
use tokio::time::Instant;
use uuid::Uuid;

use super::chunked_body::ChunkedBody;
use super::cors::Origins;
use super::framing::FramingError;
use super::rate_limits::RateState;
use super::request_context::RequestContext;
use super::request_figures::class;
use super::services::RequestTelemetry;
use super::{Context, Problem, request_trace};
use crate::identity::Caller;
use crate::platform::telemetry::log_context;
use crate::platform::{Metrics, RecordId, RequestId, database, traces};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Browsers take no answer for a script or a page that does not say so.
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const EVENT_STREAM: &str = "text/event-stream";
/// The code of a refusal that has no [`Problem`].
const NO_CODE: &str = "other";
/// The route of a request whose path matches none.
const NO_ROUTE: &str = "none";
/// The route of bytes that are not a request.
const UNREADABLE: &str = "unreadable";

/// The refusals that share a limit of log lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusalKind {
    /// The route with variables: `/records/{module}`.
    pub route: String,
    pub status: u16,
}

impl RefusalKind {
    /// Logs how many lines of this kind were left out.
    pub fn sum_up(&self, left_out: u64) {
        let (route, status_code) = (&*self.route, self.status);
        tracing::info!(route, status_code, left_out, "more requests were refused");
    }
}

pub async fn around(
    origins: web::Data<Origins>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Some(error) = FramingError::of(request.head()) {
        return Ok(refuse_framing(request, error));
    }
    let began = Instant::now();
    let id = new_id(request.request());
    request.extensions_mut().insert(id.clone());
    let refused = origins.refuse(request.head());
    let chunked_body = ChunkedBody::of(&mut request);
    let trace = request_trace::begin(&request);
    let mut response = if let Some(problem) = refused {
        request.into_response(HttpResponse::from_error(problem))
    } else {
        let context = RequestContext::of(&request, &id, trace.as_ref());
        let answer = log_context::within(Arc::new(context), next.call(request));
        let answer = database::counted(answer);
        let answer = match &trace {
            Some(trace) => Either::Left(traces::within(trace.context(), answer)),
            None => Either::Right(answer),
        };
        answer.await?.map_into_boxed_body()
    };
    let id = id.to_string();
    let limit = response.request().extensions().get::<RateState>().copied();
    complete_head(&mut response, &id, limit);
    if let Some(body) = chunked_body {
        response = response.map_body(|_, answer| body.kept_by(answer));
    }
    log(&response, &id, began);
    if let Some(trace) = trace {
        request_trace::end(trace, &response);
    }
    // After the time was taken: the figures are those of the work.
    if let Some(delay) = limit.and_then(RateState::delay) {
        tokio::time::sleep(delay).await;
    }
    if is_event_stream(&response) {
        response = without_request_text(response);
    }
    Ok(response)
}

/// What the heads of all answers have.
fn complete_head(response: &mut ServiceResponse<BoxBody>, id: &str, limit: Option<RateState>) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    if let Some(limit) = limit {
        limit.write(headers);
    }
    // The service never switches protocols, and what follows such a request is not read.
    let is_upgrade = response.request().head().connection_type() == ConnectionType::Upgrade;
    if is_upgrade || is_stopping(response.request()) {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
}

/// Whether the connection is to end with this answer, because the service stops.
fn is_stopping(request: &HttpRequest) -> bool {
    let context = request.app_data::<Context>();
    context.is_some_and(|context| context.dispatcher.draining().is_some())
}

fn is_event_stream(response: &ServiceResponse<BoxBody>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value == EVENT_STREAM)
}

/// actix keeps 256 used heads of requests a thread, and each keeps a table of 6.7 KB and the buffer of 8 KiB that its
/// connection read into: 3.8 MB after many streams have arrived. The token of a stream would stay there, too.
fn without_request_text(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let (request, response) = response.into_parts();
    let mut request = ServiceRequest::from_request(request);
    let head = request.head_mut();
    head.headers = HeaderMap::new();
    head.uri = Uri::default();
    request.match_info_mut().set(Url::default());
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, response)
}

/// Answers the request that stands in the place of a malformed one.
fn refuse_framing(request: ServiceRequest, error: FramingError) -> ServiceResponse<BoxBody> {
    let problem = error.problem();
    let context = request.app_data::<Context>();
    let id = context.map(|context| refuse_unreadable(&context.services.telemetry, &problem));
    let mut response = problem.error_response();
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    if let Some(value) = id.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
        headers.insert(REQUEST_ID, value);
    }
    request.into_response(response)
}

/// The id in the header if it is valid, or a random one.
fn new_id(request: &HttpRequest) -> RequestId {
    let given = request.headers().get(REQUEST_ID);
    let given = given.and_then(|value| value.to_str().ok());
    match given.filter(|id| RecordId::parse(id).is_ok()) {
        Some(id) => RequestId::Given(id.into()),
        None => RequestId::Random(Uuid::new_v4()),
    }
}

pub(super) fn request_id(request: &HttpRequest) -> RequestId {
    let known = request.extensions().get().cloned();
    known.unwrap_or_else(|| new_id(request))
}

fn log(response: &ServiceResponse<BoxBody>, id: &str, began: Instant) {
    let request = response.request();
    let status = response.status();
    let context = request.app_data::<Context>();
    if let Some(context) = context {
        let class = class(status);
        let telemetry = &context.services.telemetry;
        let responses = &telemetry.metrics.responses;
        responses.get_or_create(&[("class", class)]).inc();
        telemetry.request_figures.count(request, status, began);
    }
    let is_refused = status.is_client_error() || status.is_server_error();
    if is_refused
        && !context.is_none_or(|context| count_and_admit(&context.services.telemetry, response))
    {
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

/// Counts and logs the refusal of bytes that are not a request. Only the answer to them is known.
pub(super) fn refuse_unreadable(telemetry: &RequestTelemetry, problem: &Problem) -> RequestId {
    let (id, status) = (RequestId::Random(Uuid::new_v4()), problem.status_code());
    let responses = &telemetry.metrics.responses;
    responses.get_or_create(&[("class", class(status))]).inc();
    telemetry.request_figures.count_unreadable(status);
    count_refusal(&telemetry.metrics, status, problem.code().as_str());
    let status_code = status.as_u16();
    let kind = RefusalKind {
        route: UNREADABLE.to_owned(),
        status: status_code,
    };
    if telemetry.refusals.admits(&kind) {
        tracing::info!(%id, status_code, code = %problem, "refused");
    }
    id
}

/// Counts a refusal, and returns whether it is to be logged.
fn count_and_admit(telemetry: &RequestTelemetry, response: &ServiceResponse<BoxBody>) -> bool {
    let status = response.status();
    let error = response.response().error();
    let problem = error.and_then(|error| error.as_error::<Problem>());
    let code = problem.map_or(NO_CODE, |problem| problem.code().as_str());
    count_refusal(&telemetry.metrics, status, code);
    if let Some(caller) = response.request().extensions().get::<Caller>() {
        let figures = telemetry.figures.of(&caller.broker);
        figures.refusals.add(code);
    }
    let route = response.request().match_pattern();
    telemetry.refusals.admits(&RefusalKind {
        route: route.unwrap_or_else(|| NO_ROUTE.to_owned()),
        status: status.as_u16(),
    })
}

fn count_refusal(metrics: &Metrics, status: StatusCode, code: &'static str) {
    let labels = [("class", class(status)), ("code", code)];
    metrics.refusals.get_or_create(&labels).inc();
}
