//! Health and metrics.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::Context;
use super::metrics_access::MetricsReader;
use super::problem::{Code, Problem};

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
}

/// The service is ready when it is not stopping, its database answers and is migrated, its background
/// tasks get their connections, and its follower reads the log.
pub(super) async fn ready(context: Context) -> Result<HttpResponse, Problem> {
    let not_ready = |detail: &'static str| Problem::unavailable(Code::NotReady, detail);
    if context.dispatcher.draining().is_some() {
        return Err(not_ready("The service is stopping."));
    }
    let services = &context.services;
    if !services.health.database.answers(&services.pool).await {
        return Err(not_ready(
            "The database does not answer, is a standby, has no free connection (max_connections), or is not migrated.",
        ));
    }
    let streams = &context.services.streams;
    if streams.are_unavailable() {
        return Err(not_ready(
            "Background tasks get no connections to the database, or revocations cannot be read. \
             Look at max_connections of Postgres.",
        ));
    }
    if streams.log_handle.health().is_unavailable() {
        return Err(not_ready("The follower does not reach the database."));
    }
    // Without its backplane an instance polls, so it is still ready.
    let backplane = &context.services.health.backplane;
    let body = match (backplane.is_external(), backplane.is_connected()) {
        (false, _) => json!({"status": "ready"}),
        (true, true) => json!({"status": "ready", "backplane": "connected"}),
        (true, false) => json!({"status": "ready", "backplane": "disconnected"}),
    };
    Ok(HttpResponse::Ok().json(body))
}

pub(super) async fn metrics(
    _: MetricsReader,
    request: HttpRequest,
    context: Context,
) -> HttpResponse {
    let metrics = &context.services.telemetry.metrics;
    let fanout = &context.services.fanout;
    metrics
        .memory_bytes
        .set(i64::try_from(fanout.bytes()).unwrap_or(i64::MAX));
    let uploads = context.services.uploads.memory_bytes();
    metrics
        .upload_memory_bytes
        .set(i64::try_from(uploads).unwrap_or(i64::MAX));
    metrics
        .backplane_connected
        .set(context.services.health.backplane.is_connected().into());
    metrics
        .brokers_active
        .set(i64::try_from(fanout.active().len()).unwrap_or(i64::MAX));
    let (media_type, text) = if takes_open_metrics(&request) {
        let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (media_type, metrics.text())
    } else {
        let media_type = "text/plain; version=0.0.4; charset=utf-8";
        (media_type, metrics.classic_text())
    };
    HttpResponse::build(StatusCode::OK)
        .content_type(media_type)
        .insert_header((header::VARY, "Accept"))
        .body(text)
}

/// Prometheus asks for it by name. `promtool` and other collectors read the older format only.
fn takes_open_metrics(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/openmetrics-text"))
}
