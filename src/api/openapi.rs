//! The `OpenAPI` document, from `openapi/openapi.yaml`.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use serde_json::Value;

const YAML: &str = include_str!("../../openapi/openapi.yaml");

pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_norway::from_str(YAML).unwrap_or_default());

static JSON: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

/// `GET /openapi.json`.
pub async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(JSON.as_str())
}
