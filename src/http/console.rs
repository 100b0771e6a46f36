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

fn script(text: &'static str) -> HttpResponse {
    page("text/javascript; charset=utf-8", text)
}

/// `GET /`.
pub async fn index() -> HttpResponse {
    page(
        "text/html; charset=utf-8",
        include_str!("../../web/console/index.html"),
    )
}

/// `GET /console.js`: the script of the page, which imports the others.
pub async fn console() -> HttpResponse {
    script(include_str!("../../web/console/console.js"))
}

/// `GET /api.js`: requests.
pub async fn api() -> HttpResponse {
    script(include_str!("../../web/console/api.js"))
}

/// `GET /elements.js`: parts of the page.
pub async fn elements() -> HttpResponse {
    script(include_str!("../../web/console/elements.js"))
}

/// `GET /events.js`: the list of events.
pub async fn events() -> HttpResponse {
    script(include_str!("../../web/console/events.js"))
}

/// `GET /feed.js`: the stream, kept alive.
pub async fn feed() -> HttpResponse {
    script(include_str!("../../web/console/feed.js"))
}

/// `GET /here.js`: the card of who is here.
pub async fn here() -> HttpResponse {
    script(include_str!("../../web/console/here.js"))
}

/// `GET /people.js`: who is here, of what a stream tells.
pub async fn people() -> HttpResponse {
    script(include_str!("../../web/console/people.js"))
}

/// `GET /record.js`: the card to try a record with.
pub async fn record() -> HttpResponse {
    script(include_str!("../../web/console/record.js"))
}

/// `GET /console.css`.
pub async fn style() -> HttpResponse {
    page(
        "text/css; charset=utf-8",
        include_str!("../../web/console/console.css"),
    )
}
