//! Health and metrics.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::json;

use super::Service;
use super::problem::Problem;

/// How long the database may take to answer a look.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
}

/// The service can do its work: it is not stopping, its database answers and is
/// migrated, its follower follows.
pub async fn ready(service: Service) -> Result<HttpResponse, Problem> {
    let not_ready = |detail: &'static str| Problem::unavailable("not_ready", detail);
    if service.board.draining().is_some() {
        return Err(not_ready("The service is stopping."));
    }
    // Reads a table of ours: it fails without a database and without migrations alike.
    let look = sqlx::query_scalar!(r#"select count(*) as "n!" from porchlight.origin"#);
    let look = async {
        let mut connection = service.app.pool.acquire().await?;
        look.fetch_one(&mut *connection).await
    };
    match tokio::time::timeout(DATABASE_TIMEOUT, look).await {
        Ok(Ok(_)) => {}
        _ => {
            return Err(not_ready(
                "The database does not answer, or is not migrated.",
            ));
        }
    }
    if service.app.streams.porch.contact().is_lost() {
        return Err(not_ready("The follower does not reach the database."));
    }
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}

/// What Prometheus reads.
pub async fn metrics(service: Service) -> HttpResponse {
    let metrics = &service.app.metrics;
    let hub = &service.app.hub;
    metrics
        .memory_bytes
        .set(i64::try_from(hub.bytes()).unwrap_or(i64::MAX));
    let uploads = service.app.uploads.memory_bytes();
    metrics
        .upload_memory_bytes
        .set(i64::try_from(uploads).unwrap_or(i64::MAX));
    metrics
        .brokers_active
        .set(i64::try_from(hub.active().len()).unwrap_or(i64::MAX));
    HttpResponse::build(StatusCode::OK)
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.text())
}
