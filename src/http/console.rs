//! The console: one page, compiled in.

use actix_web::HttpResponse;

/// What the page may do: speak with this service and nobody else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

fn page(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .insert_header(("Cache-Control", "no-cache"))
        .body(text)
}

/// `GET /`.
pub async fn index() -> HttpResponse {
    page(
        "text/html; charset=utf-8",
        include_str!("../../web/console/index.html"),
    )
}

/// `GET /console.js`.
pub async fn script() -> HttpResponse {
    page(
        "text/javascript; charset=utf-8",
        include_str!("../../web/console/console.js"),
    )
}

/// `GET /console.css`.
pub async fn style() -> HttpResponse {
    page(
        "text/css; charset=utf-8",
        include_str!("../../web/console/console.css"),
    )
}
