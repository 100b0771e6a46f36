//! Around every request: a name for it, a line about it, and the refusal of strange origins.
//!
//! Logs name the path and never the query, which may carry a token.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, ResponseError, web};
use tokio::time::Instant;
use uuid::Uuid;

use super::Service;
use super::cors::Origins;
use crate::identity::Caller;
use crate::ids::RecordId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the request, serves it, and logs how it went.
pub async fn around(
    origins: web::Data<Origins>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let began = Instant::now();
    let id = request_id(&request);
    let refused = origins.refuse(request.head());
    let mut response = match refused {
        Some(problem) => request.into_response(problem.error_response()),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    log(&response, &id, began);
    Ok(response)
}

/// The caller's own name for the request, where it has a sane one.
fn request_id(request: &ServiceRequest) -> String {
    let theirs = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let sane = theirs.filter(|id| RecordId::parse(id).is_ok());
    sane.map_or_else(|| Uuid::new_v4().simple().to_string(), ToOwned::to_owned)
}

fn log(response: &ServiceResponse<BoxBody>, id: &str, began: Instant) {
    let request = response.request();
    let status = response.status();
    if let Some(service) = request.app_data::<Service>() {
        let class = class(status);
        service
            .app
            .metrics
            .responses
            .get_or_create(&[("class", class)])
            .inc();
    }
    let extensions = request.extensions();
    let user = extensions
        .get::<Caller>()
        .map(|caller| caller.user.as_str());
    let code = response.response().error().map(ToString::to_string);
    let (method, path) = (request.method().as_str(), request.path());
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status_code = status.as_u16();
    match status.as_u16() {
        500.. => tracing::warn!(id, method, path, status_code, ms, user, code, "answered"),
        400..500 => tracing::info!(id, method, path, status_code, ms, user, code, "refused"),
        _ => tracing::debug!(id, method, path, status_code, ms, user, "answered"),
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
