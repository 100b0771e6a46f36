//! The console: a page whose files are compiled in.

use actix_web::{HttpRequest, HttpResponse, web};

use super::problem::Problem;
use super::routes::no_such_path;

/// The page may load from this service only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../web/console/", $name)))),+]
    };
}

const FILES: &[(&str, &str)] = files![
    "activity.js",
    "api.js",
    "console.css",
    "console.js",
    "elements.js",
    "events.js",
    "feed.js",
    "fields.js",
    "here.js",
    "inbox.js",
    "jobs.js",
    "notifications.js",
    "opened.js",
    "people.js",
    "publish.js",
    "record.js",
    "record_list.js",
    "records.js",
    "tasks.js",
];

/// `GET /`.
pub(super) async fn index() -> HttpResponse {
    let text = include_str!("../../web/console/index.html");
    respond("text/html; charset=utf-8", text)
}

/// `GET /console/{file}`: a script or the style sheet.
pub(super) async fn file(
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let file = FILES.iter().find(|(known, _)| *known == *name);
    let (name, text) = file.ok_or_else(|| no_such_path(&request))?;
    let content_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    };
    Ok(respond(content_type, text))
}

fn respond(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .insert_header(("Cache-Control", "no-cache"))
        .body(text)
}
