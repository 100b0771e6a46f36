//! The page: three views with one shell. Its files are compiled in, compressed once, and kept by browsers until
//! they change.

mod assets;
mod bundle;
mod files;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use self::assets::{ASSETS, Asset};
use self::files::PageView;
use super::problem::Problem;
use super::routes::no_such_path;
use super::streams::accepts_gzip;

/// The page may load from this service only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The path of a file with the version of the page never has other content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// `GET /`: the CRM.
pub(super) async fn crm(request: HttpRequest) -> HttpResponse {
    page(&request, PageView::Crm)
}

/// `GET /inspector`.
pub(super) async fn inspector(request: HttpRequest) -> HttpResponse {
    page(&request, PageView::Inspector)
}

/// `GET /operations`.
pub(super) async fn operations(request: HttpRequest) -> HttpResponse {
    page(&request, PageView::Operations)
}

fn page(request: &HttpRequest, view: PageView) -> HttpResponse {
    respond(request, ASSETS.page(view), ASK_AGAIN)
}

/// `GET /console/{file}`: a script or a style sheet, with or without the version of the page before its name.
pub(super) async fn file(
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let versioned = path.strip_prefix(&*ASSETS.version);
    let (asset, caching) = match versioned.and_then(|rest| rest.strip_prefix('/')) {
        Some(name) => (ASSETS.versioned(name), FOR_EVER),
        None => (ASSETS.file(&path), ASK_AGAIN),
    };
    let asset = asset.ok_or_else(|| no_such_path(&request))?;
    Ok(respond(&request, asset, caching))
}

fn respond(request: &HttpRequest, asset: &Asset, caching: &'static str) -> HttpResponse {
    let mut head = HttpResponse::Ok();
    head.content_type(asset.content_type)
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::VARY, "Accept-Encoding"));
    if asset.has_policy {
        head.insert_header(("Content-Security-Policy", CONTENT_SECURITY_POLICY));
        head.insert_header(("Referrer-Policy", "no-referrer"));
    }
    if accepts_gzip(request.headers()) {
        head.insert_header((header::CONTENT_ENCODING, "gzip"));
        return head.body(asset.gzip.clone());
    }
    head.body(asset.plain.clone())
}
